package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/windhover/windhover/rules/library"
)

// File is one rules file.
type File struct {
	Name string // as errors name it
	Data []byte
	// Err says why there is no Data, if the file cannot be read.
	Err error
}

// Limits of what is read.
const (
	MaxFileSize = 32 << 20
	MaxFiles    = 1000
	MaxSize     = 64 << 20 // of all files together
)

// Builtin stands for the rules that Windhover ships among paths of files.
const Builtin = "builtin:"

// LoadPaths reads rules files, in order. A directory stands for the files in it that
// end in .yaml or .yml, sorted by name, and Builtin for the rules that Windhover ships.
func LoadPaths(paths []string) ([]File, error) {
	files := LoadEach(paths)
	var errs []error
	for _, f := range files {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("read rules %s: %w", f.Name, f.Err))
		}
	}
	files = slices.DeleteFunc(files, func(f File) bool { return f.Err != nil })
	return files, errors.Join(errs...)
}

// LoadEach reads what LoadPaths reads, and returns those that cannot be read too, with
// the reason. Compile reports them as errors.
func LoadEach(paths []string) []File {
	l := loader{}
	for _, p := range paths {
		l.add(p)
	}
	return l.files
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

func (l *loader) add(path string) {
	if path == Builtin {
		l.files = append(l.files, Library()...)
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		l.refuse(path, err)
		return
	}
	if !info.IsDir() {
		l.read(path)
		return
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		l.refuse(path, err)
		return
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if !isRules(name) {
			continue
		}
		// Kubernetes mounts files as links, so what a link points to decides.
		info, err := os.Stat(name)
		if err != nil {
			l.refuse(name, err)
			continue
		}
		if info.Mode().IsRegular() {
			l.read(name)
		}
	}
}

func (l *loader) read(path string) {
	if len(l.files) >= MaxFiles {
		if len(l.files) == MaxFiles { // said once
			l.refuse(path, fmt.Errorf("more than %d files", MaxFiles))
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		l.refuse(path, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		l.refuse(path, err)
		return
	}
	var b bytes.Buffer
	if info.Size() <= MaxFileSize {
		b.Grow(int(info.Size()) + bytes.MinRead) // a pipe has no size
		_, err = b.ReadFrom(io.LimitReader(f, MaxFileSize+1))
	}
	if err != nil {
		l.refuse(path, err)
		return
	}
	if max(info.Size(), int64(b.Len())) > MaxFileSize {
		l.refuse(path, fmt.Errorf("larger than %d MiB", MaxFileSize>>20))
		return
	}
	data := b.Bytes()
	if l.size+len(data) > MaxSize {
		l.refuse(path, fmt.Errorf("the files are larger than %d MiB together", MaxSize>>20))
		return
	}
	l.size += len(data)
	l.files = append(l.files, File{Name: path, Data: data})
}

// refuse notes that a file cannot be read.
func (l *loader) refuse(path string, err error) {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err // it has the path a second time
	}
	l.files = append(l.files, File{Name: path, Err: err})
}
