package field

import (
	"github.com/windhover/windhover/internal/event"
)

var host = []byte("host")

// hostOnly is the accessor of what is known of the host but of no container.
func hostOnly(ev *event.Event) ([]byte, bool) {
	img, ok := imageOf(ev)
	return host, ok && len(img.ContainerID) == 0
}

// podUID is the accessor of the pod of the container, which its cgroup tells.
var podUID = imageText(func(_ *event.Event, i *event.Image) ([]byte, bool) { return i.PodUID, len(i.PodUID) > 0 }).text(0)

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
	{Name: "container.name", Kind: KindText, Suggested: true, Doc: "Name of the container; host for a process that is in no container, which is all that is known.", Text: hostOnly},
	{Name: "container.type", Kind: KindText, Doc: "Runtime of the container; host for a process that is in no container, which is all that is known.", Text: hostOnly},
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
	{Name: "k8s.pod.id", Kind: KindText, Doc: "UID of the container's pod, from its cgroup.", Text: podUID},
	{Name: "k8s.pod.uid", Kind: KindText, Doc: "UID of the container's pod, from its cgroup.", Text: podUID},
}

var k8smetaFields = []*Field{
	{Name: "k8smeta.pod.uid", Kind: KindText, Doc: "UID of the container's pod, from its cgroup.", Text: podUID},
}
