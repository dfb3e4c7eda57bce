package state

import "bytes"

// idLength is how much of a container's ID of 64 hexadecimal digits people read.
const idLength = 12

// Container returns the container that a cgroup of that path belongs to, as parts of
// path: the whole ID, or the name where an engine gives only names, and what people
// call it, the first 12 digits. Both are nil for a cgroup of the host.
//
// A process may have moved into a cgroup below the one its container began in, so
// where a path says nothing, the engines whose IDs cannot be mistaken are looked for
// in the paths above.
func Container(path []byte) (full, id []byte) {
	path = bytes.TrimRight(path, "/")
	if id := hexID(path); id != nil {
		return id, id[:idLength]
	}
	if id := containerdID(path); id != nil {
		return id, id[:min(len(id), idLength)]
	}
	if id := namedID(path); id != nil {
		return id, id
	}
	for {
		i := bytes.LastIndexByte(path, '/')
		if i <= 0 {
			return nil, nil
		}
		path = path[:i]
		if id := hexID(path); id != nil {
			return id, id[:idLength]
		}
	}
}

// PodUID returns the UID of the pod that a cgroup of that path belongs to, or nil. The
// kubelet names the cgroup of a pod pod<UID>, below kubepods; under systemd its slice
// ends in -pod<UID>.slice, with underscores in place of hyphens.
func PodUID(path []byte) []byte {
	i := bytes.Index(path, []byte("/kubepods"))
	if i < 0 {
		return nil
	}
	for item := range bytes.SplitSeq(path[i+1:], []byte{'/'}) {
		item = bytes.TrimSuffix(item, []byte(".slice"))
		j := bytes.LastIndex(item, []byte("pod"))
		if j < 0 || j > 0 && item[j-1] != '-' {
			continue
		}
		if uid := bytes.ReplaceAll(item[j+len("pod"):], []byte{'_'}, []byte{'-'}); isUID(uid) {
			return uid
		}
	}
	return nil
}

// isUID says whether b is a UUID, or the hash that the kubelet gives to a pod that it
// was told of by a file.
func isUID(b []byte) bool {
	if len(b) == 32 {
		return allHex(b)
	}
	return len(b) == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-' &&
		allHex(bytes.ReplaceAll(b, []byte{'-'}, nil))
}

// hexForms are how podman, docker, CRI-O, containerd's CRI and nerdctl name the
// cgroup of a container: prefix, 64 hexadecimal digits, suffix.
var hexForms = []struct{ prefix, suffix string }{
	{"/libpod-", ".scope"},
	{"/libpod-", ".scope/container"},
	{"/libpod-", ""},
	{"/libpod-payload-", ".scope"},
	{"/libpod-payload-", ".scope/container"},
	{"/libpod-payload-", ""},
	{"/", ""},
	{"/docker-", ".scope"},
	{"/crio-", ""},
	{"/crio-", ".scope"},
	{"/cri-containerd-", ".scope"},
	{":cri-containerd:", ""},
	{"/nerdctl-", ".scope"},
}

func hexID(path []byte) []byte {
	for _, f := range hexForms {
		rest, ok := bytes.CutSuffix(path, []byte(f.suffix))
		if !ok {
			continue
		}
		i := bytes.LastIndex(rest, []byte(f.prefix))
		if i < 0 {
			continue
		}
		if id := rest[i+len(f.prefix):]; len(id) == 64 && allHex(id) {
			return id
		}
	}
	return nil
}

func allHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// containerdNamespaces are those that containerd, its clients and BuildKit use unless
// told otherwise. Any directory could be a namespace, and would make containers of the
// cgroups of the host.
var containerdNamespaces = []string{"default", "k8s.io", "moby", "buildkit"}

// containerdID takes the last item of /NAMESPACE/ID: what containerd names by itself,
// without an engine above it. An ID may be any name but that of a unit of systemd.
func containerdID(path []byte) []byte {
	for _, ns := range containerdNamespaces {
		rest, ok := bytes.CutPrefix(path, []byte("/"+ns))
		if !ok || len(rest) < 2 || rest[0] != '/' {
			continue
		}
		id := rest[1:]
		if len(id) > 64 || bytes.IndexByte(id, '/') >= 0 || unit(id) {
			return nil
		}
		return id
	}
	return nil
}

func unit(name []byte) bool {
	for _, suffix := range []string{".service", ".slice", ".scope", ".mount", ".socket"} {
		if bytes.HasSuffix(name, []byte(suffix)) {
			return true
		}
	}
	return false
}

// namedID finds the engines that name a container instead of numbering it: LXC,
// libvirt and BPM.
func namedID(path []byte) []byte {
	for _, prefix := range []string{"/lxc/", "/lxc.payload/", "/lxc.payload."} {
		if id := itemAfter(path, prefix); id != nil {
			return id
		}
	}
	if rest, ok := bytes.CutSuffix(path, []byte(".libvirt-lxc")); ok {
		if id := rest[bytes.LastIndexByte(rest, '/')+1:]; len(id) > 0 {
			return id
		}
	}
	scope := bytes.TrimSuffix(path, []byte("/libvirt"))
	if rest, ok := bytes.CutSuffix(scope, []byte(".scope")); ok {
		const escaped = `-lxc\x2d` // systemd's escape of a hyphen
		if _, id, ok := bytes.Cut(rest, []byte(escaped)); ok && len(id) > 0 {
			return id
		}
	}
	if id := itemAfter(path, "/libvirt/lxc/"); id != nil {
		return id
	}
	if rest, ok := bytes.CutSuffix(path, []byte(".scope")); ok {
		id, ok := bytes.CutPrefix(rest[bytes.LastIndexByte(rest, '/')+1:], []byte("bpm-"))
		if ok && len(id) > 0 && !bytes.ContainsFunc(id, notBPM) {
			return id
		}
	}
	return nil
}

// itemAfter returns what follows prefix in path up to the next slash.
func itemAfter(path []byte, prefix string) []byte {
	i := bytes.Index(path, []byte(prefix))
	if i < 0 {
		return nil
	}
	id, _, _ := bytes.Cut(path[i+len(prefix):], []byte{'/'})
	if len(id) == 0 {
		return nil
	}
	return id
}

func notBPM(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}
