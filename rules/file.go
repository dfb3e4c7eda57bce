package rules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/windhover/windhover/rules/library"
)

// File is one rules file.
type File struct {
	Name string // as errors name it
	Data []byte
}

// Limits of what is read.
const (
	MaxFileSize = 8 << 20
	MaxFiles    = 1000
	MaxSize     = 64 << 20 // of all files together
)

// LoadPaths reads rules files, in order. A directory stands for the files in it that
// end in .yaml or .yml, sorted by name.
func LoadPaths(paths []string) ([]File, error) {
	l := loader{}
	var errs []error
	for _, p := range paths {
		if err := l.add(p); err != nil {
			errs = append(errs, err)
		}
	}
	return l.files, errors.Join(errs...)
}

// Library returns the rules that Windhover ships.
func Library() []File {
	var files []File
	entries, err := library.FS.ReadDir(".")
	if err != nil {
		panic("BUG: rules: read the embedded library: " + err.Error())
	}
	for _, e := range entries {
		data, err := library.FS.ReadFile(e.Name())
		if err != nil {
			panic("BUG: rules: read the embedded library: " + err.Error())
		}
		files = append(files, File{Name: "windhover/" + e.Name(), Data: data})
	}
	return files
}

type loader struct {
	files []File
	size  int
}

func isRules(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

func (l *loader) add(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return readError(path, err)
	}
	if !info.IsDir() {
		return l.read(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return readError(path, err)
	}
	var errs []error
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if !isRules(name) {
			continue
		}
		// Kubernetes mounts files as links, so what a link points to decides.
		info, err := os.Stat(name)
		if err != nil {
			errs = append(errs, readError(name, err))
			continue
		}
		if info.Mode().IsRegular() {
			errs = append(errs, l.read(name))
		}
	}
	return errors.Join(errs...)
}

func (l *loader) read(path string) error {
	if len(l.files) == MaxFiles {
		return fmt.Errorf("read rules %s: more than %d files", path, MaxFiles)
	}
	f, err := os.Open(path)
	if err != nil {
		return readError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return readError(path, err)
	}
	if len(data) > MaxFileSize {
		return fmt.Errorf("read rules %s: larger than %d MiB", path, MaxFileSize>>20)
	}
	if l.size += len(data); l.size > MaxSize {
		return fmt.Errorf("read rules %s: the files are larger than %d MiB together", path, MaxSize>>20)
	}
	l.files = append(l.files, File{Name: path, Data: data})
	return nil
}

func readError(path string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("read rules %s: %s", path, strings.TrimSpace(err.Error()))
}
