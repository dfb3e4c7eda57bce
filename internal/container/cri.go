package container

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/windhover/windhover/internal/event"
)

// maxAnswer bounds what one question may bring.
const maxAnswer = 4 << 20

// criEngine asks over the Container Runtime Interface of Kubernetes, version v1.
type criEngine struct {
	conn    *grpc.ClientConn
	err     error // why there is no connection
	client  cri.RuntimeServiceClient
	runtime []byte // its name, once it has told it
}

func newCRI(socket string) engine {
	e := &criEngine{}
	e.conn, e.err = grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a socket of the host: its mode decides who may ask
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if e.err == nil {
		e.client = cri.NewRuntimeServiceClient(e.conn)
	}
	return e
}

func (e *criEngine) close() {
	if e.conn != nil {
		_ = e.conn.Close() // nothing is in flight
	}
}

func (e *criEngine) describe(ctx context.Context, id string) (*event.Container, error) {
	if e.err != nil {
		return nil, fmt.Errorf("connect to the container runtime: %w", e.err)
	}
	if e.runtime == nil {
		v, err := e.client.Version(ctx, &cri.VersionRequest{})
		if err != nil {
			return nil, criError(err)
		}
		e.runtime = []byte(v.GetRuntimeName())
	}
	list, err := e.client.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{Id: id}})
	if err != nil {
		return nil, criError(err)
	}
	if len(list.GetContainers()) != 1 {
		return e.sandbox(ctx, id) // what keeps the namespaces of a pod is no container to CRI
	}
	listed := list.GetContainers()[0]
	answer, err := e.client.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return nil, criError(err)
	}
	c := &event.Container{Type: e.runtime}
	s := answer.GetStatus()
	c.Name = []byte(s.GetMetadata().GetName())
	image := s.GetImage().GetUserSpecifiedImage()
	if image == "" {
		image = s.GetImage().GetImage()
	}
	c.Image = []byte(image)
	repository, tag := splitImage(image)
	c.Repository, c.Tag = []byte(repository), []byte(tag)
	c.Digest = []byte(digestOf(s.GetImageRef()))
	c.ImageID = []byte(s.GetImageId())
	if len(c.ImageID) == 0 && len(c.Digest) == 0 {
		c.ImageID = []byte(s.GetImageRef()) // containerd's reference of an image without a repository
	}
	c.Labels = labelsOf(s.GetLabels())
	for _, m := range s.GetMounts() {
		c.Mounts = append(c.Mounts, event.ContainerMount{
			Source: []byte(m.GetHostPath()), Dest: []byte(m.GetContainerPath()), Writable: !m.GetReadonly(),
			Propagation: []byte(propagations[m.GetPropagation()]),
		})
	}
	c.Privileged = privileged(answer.GetInfo())
	if pod, err := e.sandbox(ctx, listed.GetPodSandboxId()); err == nil {
		c.PodName, c.Namespace, c.PodUID, c.SandboxID = pod.PodName, pod.Namespace, pod.PodUID, pod.SandboxID
		c.PodLabels, c.IP = pod.PodLabels, pod.IP
		c.HostPID, c.HostNetwork, c.HostIPC = pod.HostPID, pod.HostNetwork, pod.HostIPC
	}
	return c, nil
}

// sandbox describes a pod by what keeps its namespaces.
func (e *criEngine) sandbox(ctx context.Context, id string) (*event.Container, error) {
	answer, err := e.client.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	if err != nil {
		return nil, criError(err)
	}
	s := answer.GetStatus()
	c := &event.Container{
		Name: []byte(s.GetMetadata().GetName()), Type: e.runtime,
		PodName: []byte(s.GetMetadata().GetName()), Namespace: []byte(s.GetMetadata().GetNamespace()),
		PodUID: []byte(s.GetMetadata().GetUid()), SandboxID: []byte(s.GetId()),
		IP: []byte(s.GetNetwork().GetIp()), PodLabels: labelsOf(s.GetLabels()), Labels: labelsOf(s.GetLabels()),
		Privileged: privileged(answer.GetInfo()),
	}
	if o := s.GetLinux().GetNamespaces().GetOptions(); o != nil {
		c.HostPID = event.Say(o.GetPid() == cri.NamespaceMode_NODE)
		c.HostNetwork = event.Say(o.GetNetwork() == cri.NamespaceMode_NODE)
		c.HostIPC = event.Say(o.GetIpc() == cri.NamespaceMode_NODE)
	}
	return c, nil
}

// propagations are the words of mount(8).
var propagations = map[cri.MountPropagation]string{
	cri.MountPropagation_PROPAGATION_PRIVATE:           "private",
	cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER: "rslave",
	cri.MountPropagation_PROPAGATION_BIDIRECTIONAL:     "rshared",
}

// privileged reads what runtimes add to a verbose answer: CRI itself does not tell. It is
// the configuration that the kubelet gave (containerd), or a member of its own (CRI-O).
func privileged(info map[string]string) event.Answer {
	var v struct {
		Privileged *bool `json:"privileged"`
		Config     *struct {
			Linux struct {
				SecurityContext struct {
					Privileged bool `json:"privileged"`
				} `json:"security_context"`
			} `json:"linux"`
		} `json:"config"`
	}
	if json.Unmarshal([]byte(info["info"]), &v) != nil {
		return event.Unsaid
	}
	switch {
	case v.Privileged != nil:
		return event.Say(*v.Privileged)
	case v.Config != nil:
		return event.Say(v.Config.Linux.SecurityContext.Privileged)
	}
	return event.Unsaid
}

// criError tells a container that does not exist from an engine that does not answer. A
// runtime without the interface, as containerd for Docker is, knows no container.
func criError(err error) error {
	switch status.Code(err) {
	case codes.NotFound, codes.Unimplemented:
		return errUnknown
	}
	return fmt.Errorf("ask the container runtime: %w", err)
}
