// Rootfs writes the files of the container image as a tar archive, the same bytes each
// time. It is a program because no archiver can write what the image needs: the program
// file with capabilities, by whoever may not set any, and with times and owners that do
// not depend on the machine.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// The user that the image runs as; the number is beyond those that hosts give to users
// and services.
const user = 65532

const accounts = `root:x:0:0:root:/:/sbin/nologin
windhover:x:65532:65532:Windhover:/var/lib/windhover:/sbin/nologin
`

const groups = `root:x:0:
windhover:x:65532:
`

// Bits of capabilities(7).
const (
	dacReadSearch = 2
	sysPtrace     = 19
	perfmon       = 38
	bpf           = 39
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rootfs:", err)
		os.Exit(1)
	}
}

func run(args []string, w io.Writer) error {
	flags := flag.NewFlagSet("rootfs", flag.ContinueOnError)
	binary := flags.String("binary", "", "the windhover `file`")
	config := flags.String("config", "", "the `file` that becomes /etc/windhover/windhover.yaml")
	epoch := flags.Int64("epoch", 0, "time of every file, in `seconds` since 1970")
	var docs, rules []string
	several := func(list *[]string) func(string) error {
		return func(name string) error {
			*list = append(*list, name)
			return nil
		}
	}
	flags.Func("doc", "a `file` for /usr/share/doc/windhover; may be repeated", several(&docs))
	flags.Func("rules", "a `file` for /usr/share/windhover/rules; may be repeated", several(&rules))
	if err := flags.Parse(args); err != nil {
		return err
	}
	a := &archive{w: tar.NewWriter(w), time: time.Unix(*epoch, 0)}
	for _, dir := range []string{"etc", "etc/ssl", "etc/ssl/certs", "etc/windhover", "etc/windhover/rules"} {
		a.directory(dir, 0o755, 0)
	}
	a.file("etc/passwd", []byte(accounts), 0)
	a.file("etc/group", []byte(groups), 0)
	a.file("etc/ssl/certs/ca-certificates.crt", certificates(), 0)
	a.copy("etc/windhover/windhover.yaml", *config, 0)
	a.directory("tmp", 0o1777, 0)
	for _, dir := range []string{"usr", "usr/bin", "usr/share", "usr/share/doc", "usr/share/doc/windhover"} {
		a.directory(dir, 0o755, 0)
	}
	a.copy("usr/bin/windhover", *binary, 1<<dacReadSearch|1<<sysPtrace|1<<perfmon|1<<bpf)
	for _, name := range docs {
		a.copy("usr/share/doc/windhover/"+filepath.Base(name), name, 0)
	}
	a.directory("usr/share/windhover", 0o755, 0)
	a.directory("usr/share/windhover/rules", 0o755, 0)
	for _, name := range rules {
		a.copy("usr/share/windhover/rules/"+filepath.Base(name), name, 0)
	}
	a.directory("var", 0o755, 0)
	a.directory("var/lib", 0o755, 0)
	a.directory("var/lib/windhover", 0o700, user)
	if a.err != nil {
		return a.err
	}
	return a.w.Close()
}

// archive writes entries until the first error.
type archive struct {
	w    *tar.Writer
	time time.Time
	err  error
}

func (a *archive) directory(name string, mode int64, owner int) {
	a.entry(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, Uid: owner, Gid: owner}, nil)
}

func (a *archive) copy(name, source string, permitted uint64) {
	content, err := os.ReadFile(source)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("read what becomes /%s: %w", name, err)
	}
	a.file(name, content, permitted)
}

// file adds a file that root owns and everybody may read; one that permits capabilities
// may be executed.
func (a *archive) file(name string, content []byte, permitted uint64) {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}
	if permitted != 0 {
		h.Mode = 0o755
		h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": attribute(permitted)}
	}
	a.entry(h, content)
}

func (a *archive) entry(h *tar.Header, content []byte) {
	if a.err != nil {
		return
	}
	h.ModTime = a.time
	h.Format = tar.FormatPAX
	if a.err = a.w.WriteHeader(h); a.err == nil {
		_, a.err = a.w.Write(content)
	}
}

// attribute returns a struct vfs_cap_data of revision 2. The capabilities are permitted
// and not effective: with the effective bit, the kernel refuses to execute the file where
// one of them is out of reach, and a container that takes audit events needs none.
func attribute(permitted uint64) string {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000000)
	b = binary.LittleEndian.AppendUint32(b, uint32(permitted))
	b = binary.LittleEndian.AppendUint32(b, 0) // inheritable
	b = binary.LittleEndian.AppendUint32(b, uint32(permitted>>32))
	b = binary.LittleEndian.AppendUint32(b, 0)
	return string(b)
}

// certificates returns the roots that Mozilla trusts. A root that it trusts in part only
// is left out: the format has no way to say so.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// Writing to a buffer cannot fail.
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}
