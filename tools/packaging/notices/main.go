// Notices prints the licences of everything that a Go program is linked from: the text
// that has to come with a copy of it. It reads which modules these are from the program,
// and their texts from the module cache.
package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// legal matches the names of files whose text belongs to a copy.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([-.].*)?$`)

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: notices PROGRAM... > NOTICES") }
	flag.Parse()
	if err := run(flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// module is what a program is linked from.
type module struct{ Path, Version, Dir string }

func run(programs []string, w io.Writer) error {
	modules, err := linked(programs)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "Windhover contains the following software, under the licences below.\n")
	texts := map[string][]string{} // a text, and the modules that have it
	var order []string
	for _, m := range modules {
		found, err := read(m.Dir)
		if err != nil {
			return fmt.Errorf("read licences of %s: %w", m.Path, err)
		}
		for _, text := range found {
			if _, ok := texts[text]; !ok {
				order = append(order, text)
			}
			texts[text] = append(texts[text], m.Path+" "+m.Version)
		}
	}
	for _, text := range order {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(texts[text], "\n"), text)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// linked returns the modules of all programs and Go itself, sorted by path.
func linked(programs []string) ([]module, error) {
	if len(programs) == 0 {
		return nil, errors.New("name the programs")
	}
	versions := map[module]bool{}
	var goVersion string
	for _, name := range programs {
		info, err := buildinfo.ReadFile(name)
		if err != nil {
			return nil, err
		}
		goVersion = info.GoVersion
		for _, dep := range info.Deps {
			versions[module{Path: actual(dep).Path, Version: actual(dep).Version}] = true
		}
	}
	args := []string{"mod", "download", "-json"}
	for m := range versions {
		args = append(args, m.Path+"@"+m.Version)
	}
	slices.Sort(args[3:])
	out, err := command(args...)
	if err != nil {
		return nil, err
	}
	root, err := command("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := []module{{Path: "The Go standard library and runtime,", Version: goVersion, Dir: strings.TrimSpace(string(root))}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m module
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read go mod download: %w", err)
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules[1:], func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, nil
}

func actual(m *debug.Module) *debug.Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}

func command(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run go %s: %w", strings.Join(args[:2], " "), err)
	}
	return out, nil
}

// read returns the legal texts at the top of a module. One without any is an error: it
// must not be given away.
func read(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, f := range files {
		if !legal.MatchString(f.Name()) || !f.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
	}
	if len(texts) == 0 {
		return nil, errors.New("there is none")
	}
	return texts, nil
}
