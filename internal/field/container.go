package field

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/windhover/windhover/internal/event"
)

var host = []byte("host")

// ofContainer is an accessor of what an engine tells of a container. What it does not
// tell, and what nobody knows yet, is missing.
func ofContainer(text func(*event.Container) []byte) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		c := containerOf(ev)
		if c == nil {
			return nil, false
		}
		t := text(c)
		return t, len(t) > 0
	}
}

// hostOr is the same with "host" for a process that is in no container.
func hostOr(text func(*event.Container) []byte) func(*event.Event) ([]byte, bool) {
	accessor := ofContainer(text)
	return func(ev *event.Event) ([]byte, bool) {
		if img, ok := imageOf(ev); ok && len(img.ContainerID) == 0 {
			return host, true
		}
		return accessor(ev)
	}
}

func said(answer func(*event.Container) event.Answer) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		c := containerOf(ev)
		if c == nil || answer(c) == event.Unsaid {
			return 0, false
		}
		return truth(answer(c) == event.Yes)
	}
}

func containerOf(ev *event.Event) *event.Container {
	img, ok := imageOf(ev)
	if !ok {
		return nil
	}
	return img.Container.Load()
}

// podUID is the accessor of the pod of the container, which its cgroup tells.
var podUID = imageText(func(_ *event.Event, i *event.Image) ([]byte, bool) { return i.PodUID, len(i.PodUID) > 0 }).text(0)

// shortID is what people call a sandbox.
func shortID(c *event.Container) []byte { return c.SandboxID[:min(len(c.SandboxID), 12)] }

func containerLabels(c *event.Container) []event.Label { return c.Labels }
func podLabels(c *event.Container) []event.Label       { return c.PodLabels }

// labelOf binds a field to the key of a label.
func labelOf(labels func(*event.Container) []event.Label) func(*Field, string) error {
	return func(b *Field, arg string) error {
		key := []byte(arg)
		b.Text = func(ev *event.Event) ([]byte, bool) {
			if c := containerOf(ev); c != nil {
				for _, l := range labels(c) {
					if bytes.Equal(l.Key, key) {
						return l.Value, true
					}
				}
			}
			return nil, false
		}
		return nil
	}
}

// joinLabels writes labels as key:value, without those that Kubernetes puts on every
// container.
func joinLabels(labels func(*event.Container) []event.Label) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		c := containerOf(ev)
		if c == nil || len(labels(c)) == 0 {
			return nil, false
		}
		start := len(ev.Scratch)
		for _, l := range labels(c) {
			if bytes.HasPrefix(l.Key, []byte("annotation.")) || bytes.HasPrefix(l.Key, []byte("io.kubernetes.")) {
				continue
			}
			if len(ev.Scratch) > start {
				ev.Scratch = append(ev.Scratch, ", "...)
			}
			ev.Scratch = append(append(append(ev.Scratch, l.Key...), ':'), l.Value...)
		}
		return tail(ev, start), true
	}
}

// A mountPart writes a part of a mount.
type mountPart func(dst []byte, m *event.ContainerMount) []byte

func mountSource(dst []byte, m *event.ContainerMount) []byte { return append(dst, m.Source...) }
func mountDest(dst []byte, m *event.ContainerMount) []byte   { return append(dst, m.Dest...) }
func mountMode(dst []byte, m *event.ContainerMount) []byte   { return append(dst, m.Mode...) }
func mountRdwr(dst []byte, m *event.ContainerMount) []byte {
	return strconv.AppendBool(dst, m.Writable)
}

func mountPropagation(dst []byte, m *event.ContainerMount) []byte {
	return append(dst, m.Propagation...)
}

func wholeMount(dst []byte, m *event.ContainerMount) []byte {
	for i, part := range []mountPart{mountSource, mountDest, mountMode, mountRdwr, mountPropagation} {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = part(dst, m)
	}
	return dst
}

// mountField is a field about one mount: that of a number, or the first whose key, its
// source or its destination, matches a regular expression.
func mountField(name, doc string, part mountPart, key func(*event.ContainerMount) []byte) *Field {
	return bindable(&Field{Name: name, Kind: KindText, Arg: ArgRequired, Doc: doc}, func(b *Field, arg string) error {
		n, err := strconv.ParseUint(arg, 10, 16)
		var pattern *regexp.Regexp
		if err != nil {
			if pattern, err = regexp.Compile(arg); err != nil {
				return &LookupError{Msg: "no number of a mount and no regular expression: " + err.Error()}
			}
		}
		b.Text = func(ev *event.Event) ([]byte, bool) {
			c := containerOf(ev)
			if c == nil {
				return nil, false
			}
			for i := range c.Mounts {
				if m := &c.Mounts[i]; pattern == nil && uint64(i) == n || pattern != nil && pattern.Match(key(m)) {
					start := len(ev.Scratch)
					ev.Scratch = part(ev.Scratch, m)
					return tail(ev, start), true
				}
			}
			return nil, false
		}
		return nil
	})
}

func bySource(m *event.ContainerMount) []byte { return m.Source }
func byDest(m *event.ContainerMount) []byte   { return m.Dest }

var containerFields = []*Field{
	{
		Name: "container.id", Kind: KindText, Suggested: true, Doc: "First 12 characters of the container's ID; host for a process that is in no container.",
		Text: imageText(func(_ *event.Event, i *event.Image) ([]byte, bool) {
			if len(i.ContainerID) == 0 {
				return host, true
			}
			return i.ContainerID, true
		}).text(0),
	},
	{
		Name: "container.full_id", Kind: KindText, Doc: "ID of the container; host for a process that is in no container.",
		Text: imageText(func(_ *event.Event, i *event.Image) ([]byte, bool) {
			if len(i.ContainerID) == 0 {
				return host, true
			}
			return i.ContainerFullID, true
		}).text(0),
	},
	{Name: "container.name", Kind: KindText, Suggested: true, Doc: "Name of the container; host for a process that is in no container.", Text: hostOr(func(c *event.Container) []byte { return c.Name })},
	{Name: "container.type", Kind: KindText, Doc: "Engine of the container, such as containerd, cri-o, docker or podman; host for a process that is in no container.", Text: hostOr(func(c *event.Container) []byte { return c.Type })},
	{Name: "container.image", Kind: KindText, Doc: "Image of the container, as it was asked for.", Text: ofContainer(func(c *event.Container) []byte { return c.Image })},
	{Name: "container.image.id", Kind: KindText, Doc: "ID of the image.", Text: ofContainer(func(c *event.Container) []byte { return c.ImageID })},
	{Name: "container.image.repository", Kind: KindText, Suggested: true, Doc: "Image without its tag.", Text: ofContainer(func(c *event.Container) []byte { return c.Repository })},
	{Name: "container.image.tag", Kind: KindText, Suggested: true, Doc: "Tag of the image.", Text: ofContainer(func(c *event.Container) []byte { return c.Tag })},
	{Name: "container.image.digest", Kind: KindText, Doc: "Digest of the image.", Text: ofContainer(func(c *event.Container) []byte { return c.Digest })},
	{Name: "container.ip", Kind: KindText, Doc: "Address of the container, or of its pod.", Text: ofContainer(func(c *event.Container) []byte { return c.IP })},
	{Name: "container.privileged", Kind: KindBool, Doc: "The container is privileged.", Int: said(func(c *event.Container) event.Answer { return c.Privileged })},
	{Name: "container.host_pid", Kind: KindBool, Doc: "The container shares the PID namespace of the host.", Int: said(func(c *event.Container) event.Answer { return c.HostPID })},
	{Name: "container.host_network", Kind: KindBool, Doc: "The container shares the network namespace of the host.", Int: said(func(c *event.Container) event.Answer { return c.HostNetwork })},
	{Name: "container.host_ipc", Kind: KindBool, Doc: "The container shares the IPC namespace of the host.", Int: said(func(c *event.Container) event.Answer { return c.HostIPC })},
	{
		Name: "container.mounts", Kind: KindText, Doc: "All mounts, each as source:destination:mode:writable:propagation, with commas between them.",
		Text: func(ev *event.Event) ([]byte, bool) {
			c := containerOf(ev)
			if c == nil || len(c.Mounts) == 0 {
				return nil, false
			}
			start := len(ev.Scratch)
			for i := range c.Mounts {
				if i > 0 {
					ev.Scratch = append(ev.Scratch, ',')
				}
				ev.Scratch = wholeMount(ev.Scratch, &c.Mounts[i])
			}
			return tail(ev, start), true
		},
	},
	mountField("container.mount", "One mount, by its number or a regular expression for its source: source:destination:mode:writable:propagation.", wholeMount, bySource),
	mountField("container.mount.source", "Source of a mount, by its number or a regular expression for its destination.", mountSource, byDest),
	mountField("container.mount.dest", "Destination of a mount, by its number or a regular expression for its source.", mountDest, bySource),
	mountField("container.mount.mode", "Mode of a mount, by its number or a regular expression for its source.", mountMode, bySource),
	mountField("container.mount.rdwr", "Whether a mount is writable, by its number or a regular expression for its source.", mountRdwr, bySource),
	mountField("container.mount.propagation", "Propagation of a mount, by its number or a regular expression for its source.", mountPropagation, bySource),
	bindable(&Field{Name: "container.label", Kind: KindText, Arg: ArgRequired, Doc: "Value of a label of the container."}, labelOf(containerLabels)),
	{Name: "container.labels", Kind: KindText, Doc: "Labels of the container, each as key:value, without those that begin with annotation. or io.kubernetes.", Text: joinLabels(containerLabels)},
	{
		Name: "container.start_ts", Kind: KindTime, Doc: "Start of the init process of the container's PID namespace.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(i.PIDNSInit) }).int(0),
	},
	{
		Name: "container.duration", Kind: KindDuration, Doc: "Time since the start of the init process of the container's PID namespace.",
		Int: func(ev *event.Event) (int64, bool) {
			img, ok := imageOf(ev)
			if !ok || img.PIDNSInit == 0 {
				return 0, false
			}
			return max(ev.Time-img.PIDNSInit, 0), true
		},
	},
	{Name: "k8s.pod.name", Kind: KindText, Suggested: true, Doc: "Name of the container's pod.", Text: ofContainer(func(c *event.Container) []byte { return c.PodName })},
	{Name: "k8s.ns.name", Kind: KindText, Suggested: true, Doc: "Namespace of the container's pod.", Text: ofContainer(func(c *event.Container) []byte { return c.Namespace })},
	{Name: "k8s.pod.id", Kind: KindText, Doc: "UID of the container's pod, from its cgroup.", Text: podUID},
	{Name: "k8s.pod.uid", Kind: KindText, Doc: "UID of the container's pod, from its cgroup.", Text: podUID},
	{Name: "k8s.pod.sandbox_id", Kind: KindText, Doc: "First 12 characters of the ID of the pod's sandbox.", Text: ofContainer(shortID)},
	{Name: "k8s.pod.full_sandbox_id", Kind: KindText, Doc: "ID of the pod's sandbox.", Text: ofContainer(func(c *event.Container) []byte { return c.SandboxID })},
	{Name: "k8s.pod.ip", Kind: KindText, Doc: "Address of the pod.", Text: ofContainer(func(c *event.Container) []byte {
		if len(c.SandboxID) == 0 {
			return nil
		}
		return c.IP
	})},
	bindable(&Field{Name: "k8s.pod.label", Kind: KindText, Arg: ArgRequired, Doc: "Value of a label of the container's pod."}, labelOf(podLabels)),
	{Name: "k8s.pod.labels", Kind: KindText, Doc: "Labels of the container's pod, each as key:value.", Text: joinLabels(podLabels)},
}

var k8smetaFields = []*Field{
	{Name: "k8smeta.pod.uid", Kind: KindText, Doc: "UID of the container's pod, from its cgroup.", Text: podUID},
	{Name: "k8smeta.pod.name", Kind: KindText, Suggested: true, Doc: "Name of the container's pod.", Text: ofContainer(func(c *event.Container) []byte { return c.PodName })},
	{Name: "k8smeta.pod.ip", Kind: KindText, Doc: "Address of the container's pod.", Text: ofContainer(func(c *event.Container) []byte { return c.IP })},
	{Name: "k8smeta.ns.name", Kind: KindText, Suggested: true, Doc: "Namespace of the container's pod.", Text: ofContainer(func(c *event.Container) []byte { return c.Namespace })},
	bindable(&Field{Name: "k8smeta.pod.label", Kind: KindText, Arg: ArgRequired, Doc: "Value of a label of the container's pod."}, labelOf(podLabels)),
}
