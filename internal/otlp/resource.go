package otlp

import (
	"os"
	"runtime"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ScopeName is the instrumentation scope of everything that Windhover sends.
const ScopeName = "github.com/windhover/windhover"

// Resource describes where Windhover runs: the host it watches. The container of an
// alert is added to it.
type Resource struct {
	ServiceName     string // empty: windhover
	ServiceVersion  string
	ServiceInstance string // empty: the name of the host
	HostName        string
	HostID          string
	HostArch        string
	OSType          string
	NodeName        string // k8s.node.name
	ClusterName     string // k8s.cluster.name
}

// HostResource returns the description of this host. The name of its Kubernetes node
// comes from the environment variable NODE_NAME.
func HostResource(version string) Resource {
	r := Resource{
		ServiceVersion: version,
		HostArch:       runtime.GOARCH,
		OSType:         runtime.GOOS,
		NodeName:       os.Getenv("NODE_NAME"),
		ClusterName:    os.Getenv("CLUSTER_NAME"),
	}
	if name, err := os.Hostname(); err == nil {
		r.HostName = name
	}
	if id, err := os.ReadFile("/etc/machine-id"); err == nil && len(id) <= 64 {
		r.HostID = strings.TrimSpace(string(id))
	}
	return r
}

// Put adds the attributes of r to m.
func (r *Resource) Put(m pcommon.Map) {
	service := r.ServiceName
	if service == "" {
		service = "windhover"
	}
	instance := r.ServiceInstance
	if instance == "" {
		instance = r.HostName
	}
	m.EnsureCapacity(16)
	for _, a := range [...]struct{ key, value string }{
		{"service.name", service},
		{"service.version", r.ServiceVersion},
		{"service.instance.id", instance},
		{AttributeHostName, r.HostName},
		{"host.id", r.HostID},
		{"host.arch", r.HostArch},
		{"os.type", r.OSType},
		{"k8s.node.name", r.NodeName},
		{"k8s.cluster.name", r.ClusterName},
	} {
		if a.value != "" {
			m.PutStr(a.key, text(a.value))
		}
	}
}
