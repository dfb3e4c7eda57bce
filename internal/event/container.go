package event

import "sync/atomic"

// Container is what an engine tells of a container. It is immutable. Texts that the
// engine does not tell are empty.
type Container struct {
	Name   []byte // as the engine shows it
	Type   []byte // the engine: containerd, cri-o, docker, podman
	Image  []byte // as it was asked for
	Digest []byte // of the image, as repository@sha256:…
	// Repository and Tag are the two halves of Image, or what the engine resolved it to.
	Repository, Tag []byte
	ImageID         []byte
	IP              []byte // of the container, or of its pod

	Privileged, HostPID, HostNetwork, HostIPC Answer

	Labels []Label // in order of their keys
	Mounts []ContainerMount

	// The rest is set in Kubernetes, and of a pod's own container, its sandbox.
	PodName, Namespace, PodUID, SandboxID []byte
	PodLabels                             []Label
}

// Answer is yes or no, or nothing if nobody said.
type Answer uint8

// What an Answer can be.
const (
	Unsaid Answer = iota
	No
	Yes
)

// Say returns the Answer for a boolean.
func Say(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// Label is a label of a container or a pod.
type Label struct{ Key, Value []byte }

// ContainerMount is a directory or file that a container got from outside.
type ContainerMount struct {
	Source, Dest, Mode, Propagation []byte
	Writable                        bool
}

// ContainerStatus says how much is known of a container beside its ID.
type ContainerStatus uint32

// What a ContainerStatus can be.
const (
	ContainerPending ContainerStatus = iota // engines were asked
	ContainerKnown                          // one has answered
	ContainerUnknown                        // none knows it, or there is none
)

// ContainerRef leads to what is known of a container. All images of its processes share
// one, so that what an engine tells later is known of them all. Any goroutine may use it.
type ContainerRef struct {
	c      atomic.Pointer[Container]
	status atomic.Uint32
}

// Load returns what is known, or nil. It may be called on nil, which knows nothing.
func (r *ContainerRef) Load() *Container {
	if r == nil {
		return nil
	}
	return r.c.Load()
}

// Status says how much is known. It may be called on nil.
func (r *ContainerRef) Status() ContainerStatus {
	if r == nil {
		return ContainerUnknown
	}
	return ContainerStatus(r.status.Load())
}

// Store makes c known; nil says that nobody knows the container.
func (r *ContainerRef) Store(c *Container) {
	if c == nil {
		r.status.CompareAndSwap(uint32(ContainerPending), uint32(ContainerUnknown))
		return
	}
	r.c.Store(c)
	r.status.Store(uint32(ContainerKnown))
}

// Retry says that engines are asked once more.
func (r *ContainerRef) Retry() {
	r.status.CompareAndSwap(uint32(ContainerUnknown), uint32(ContainerPending))
}
