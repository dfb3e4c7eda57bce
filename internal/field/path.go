package field

import (
	"bytes"

	"github.com/windhover/windhover/internal/event"
)

// baseOf returns the directory that path argument i of the call is relative to.
func baseOf(ev *event.Event, i int) []byte {
	if i == 0 {
		return ev.Base
	}
	return ev.Base2
}

// appendAbsolute appends string argument arg as an absolute path, joined with the
// directory it is relative to. It reports false if the path or the directory is not
// known.
func appendAbsolute(dst []byte, ev *event.Event, arg int) ([]byte, bool) {
	raw := ev.Str[arg]
	if raw == nil {
		return dst, false
	}
	if len(raw) > 0 && raw[0] == '/' {
		return appendPath(dst, nil, raw), true
	}
	for i, p := range ev.Type.Spec().Paths {
		if p.Arg == arg {
			dir := baseOf(ev, i)
			if len(dir) == 0 {
				return dst, false
			}
			return appendPath(dst, dir, raw), true
		}
	}
	return dst, false
}

// pathArgs says which string arguments of a type are what fs.path.* speaks of: -1 for
// none.
type pathArgs struct{ name, source, target int8 }

// pathsOf holds the path arguments of every type that fs.path.* covers.
var pathsOf = func() map[event.Type]pathArgs {
	m := map[event.Type]pathArgs{
		// The new name of a link is where it comes from, in the words of the rule
		// language, and what it leads to is its target.
		event.Rename:    {-1, 0, 1},
		event.RenameAt:  {-1, 1, 3},
		event.RenameAt2: {-1, 1, 3},
		event.Link:      {-1, 1, 0},
		event.LinkAt:    {-1, 3, 1},
		event.Symlink:   {-1, 1, 0},
		event.SymlinkAt: {-1, 2, 0},
		event.Mount:     {-1, 0, 1},
	}
	for _, t := range []event.Type{
		event.Open, event.OpenAt, event.OpenAt2, event.Creat,
		event.Unlink, event.UnlinkAt, event.Mkdir, event.MkdirAt, event.Rmdir,
		event.Chmod, event.FchmodAt, event.FchmodAt2, event.Chown, event.Lchown, event.FchownAt,
		event.Umount, event.Umount2,
	} {
		m[t] = pathArgs{int8(t.Spec().Paths[0].Arg), -1, -1}
	}
	return m
}()

// pathTable is pathsOf by type, for the path of events.
var pathTable = func() (table [event.MaxTypes]pathArgs) {
	for t := range table {
		table[t] = pathArgs{-1, -1, -1}
	}
	for t, p := range pathsOf {
		table[t] = p
	}
	return table
}()

// namedTypes are the types with fs.path.name, pairedTypes those with a source and a
// target.
var namedTypes, pairedTypes = func() (named, paired event.TypeSet) {
	named = event.TypesOf(event.Fchmod, event.Fchown)
	for t, p := range pathsOf {
		if p.name >= 0 {
			named.Add(t)
		} else {
			paired.Add(t)
		}
	}
	return named, paired
}()

func isOpen(t event.Type) bool {
	return t == event.Open || t == event.OpenAt || t == event.OpenAt2 || t == event.Creat
}

// pathArg returns the string argument that is the name, source or target of ev, or
// -1: a call that failed changed no path. Opens are the exception, for they tell what
// was looked for.
func pathArg(ev *event.Event, of func(pathArgs) int8) int {
	if ev.Ret < 0 && !isOpen(ev.Type) {
		return -1
	}
	return int(of(pathTable[ev.Type%event.MaxTypes]))
}

func nameArg(p pathArgs) int8   { return p.name }
func sourceArg(p pathArgs) int8 { return p.source }
func targetArg(p pathArgs) int8 { return p.target }

// onDescriptor reports whether ev changed a file through its descriptor.
func onDescriptor(ev *event.Event) bool {
	return (ev.Type == event.Fchmod || ev.Type == event.Fchown) && ev.Ret >= 0 && ev.Has&event.HasFile != 0
}

func rawPath(of func(pathArgs) int8) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		i := pathArg(ev, of)
		if i < 0 {
			return nil, false
		}
		return known(ev.Str[i])
	}
}

func absolutePath(of func(pathArgs) int8) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		i := pathArg(ev, of)
		if i < 0 {
			return nil, false
		}
		start := len(ev.Scratch)
		var ok bool
		ev.Scratch, ok = appendAbsolute(ev.Scratch, ev, i)
		return tail(ev, start), ok
	}
}

// linkTarget returns the path that a symbolic link leads to: a relative one begins at
// the directory of the link.
func linkTarget(ev *event.Event, p pathArgs) ([]byte, bool) {
	target := ev.Str[p.target]
	if target == nil {
		return nil, false
	}
	start := len(ev.Scratch)
	if len(target) > 0 && target[0] == '/' {
		ev.Scratch = appendPath(ev.Scratch, nil, target)
		return tail(ev, start), true
	}
	var ok bool
	ev.Scratch, ok = appendAbsolute(ev.Scratch, ev, int(p.source))
	if !ok {
		return nil, false
	}
	link := tail(ev, start)
	start = len(ev.Scratch)
	ev.Scratch = appendPath(ev.Scratch, link[:bytes.LastIndexByte(link, '/')+1], target)
	return tail(ev, start), true
}

var pathFields = []*Field{
	{
		Name: "fs.path.name", Kind: KindPath, Types: namedTypes,
		Doc: "Absolute path of the file that the call is about. For an opened file it is the path that the kernel resolved.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if onDescriptor(ev) || isOpen(ev.Type) && ev.Has&event.HasFile != 0 && len(ev.File.Path) > 0 {
				return ev.File.Path, len(ev.File.Path) > 0
			}
			return nameOfPath(ev)
		},
	},
	{
		Name: "fs.path.nameraw", Kind: KindPath, Types: namedTypes,
		Doc: "The same path as the caller gave it.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if onDescriptor(ev) {
				return ev.File.Path, len(ev.File.Path) > 0
			}
			return rawNameOfPath(ev)
		},
	},
	{
		Name: "fs.path.source", Kind: KindPath, Types: pairedTypes,
		Doc:  "Absolute source path: what is renamed, the new name of a link, the device that is mounted.",
		Text: absoluteOrPlain,
	},
	{
		Name: "fs.path.sourceraw", Kind: KindPath, Types: pairedTypes,
		Doc: "The source path as the caller gave it.", Text: rawPath(sourceArg),
	},
	{
		Name: "fs.path.target", Kind: KindPath, Types: pairedTypes,
		Doc: "Absolute target path: the new name after a rename, what a link leads to, the directory that is mounted on.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if ev.Type == event.Symlink || ev.Type == event.SymlinkAt {
				if ev.Ret < 0 {
					return nil, false
				}
				return linkTarget(ev, pathTable[ev.Type])
			}
			return targetOfPath(ev)
		},
	},
	{
		Name: "fs.path.targetraw", Kind: KindPath, Types: pairedTypes,
		Doc: "The target path as the caller gave it.", Text: rawPath(targetArg),
	},
}

var (
	nameOfPath    = absolutePath(nameArg)
	rawNameOfPath = rawPath(nameArg)
	targetOfPath  = absolutePath(targetArg)
	sourceOfPath  = absolutePath(sourceArg)
	rawSource     = rawPath(sourceArg)
)

// absoluteOrPlain returns the source path. What is mounted need not be a path.
func absoluteOrPlain(ev *event.Event) ([]byte, bool) {
	if ev.Type == event.Mount {
		return rawSource(ev)
	}
	return sourceOfPath(ev)
}
