package container

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/windhover/windhover/internal/event"
)

// dockerEngine asks over the HTTP interface of Docker, version 1.24 of 2016, which Podman
// has, too.
type dockerEngine struct {
	client *http.Client
	name   []byte
}

func newDocker(socket string) engine {
	name := "docker"
	if strings.Contains(socket, "podman") {
		name = "podman"
	}
	return &dockerEngine{name: []byte(name), client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns: 1, MaxResponseHeaderBytes: 64 << 10,
	}}}
}

func (e *dockerEngine) close() { e.client.CloseIdleConnections() }

// dockerContainer is what is read of the answer to GET /containers/{id}/json.
type dockerContainer struct {
	Name   string
	Image  string // ID
	Config struct {
		Image  string
		Labels map[string]string
	}
	HostConfig struct {
		Privileged                    bool
		PidMode, NetworkMode, IpcMode string
	}
	NetworkSettings struct {
		IPAddress string
		Networks  map[string]struct{ IPAddress string }
	}
	Mounts []struct {
		Source, Destination, Mode, Propagation string
		RW                                     bool
	}
}

// dockerImage is what is read of the answer to GET /images/{id}/json.
type dockerImage struct {
	RepoTags, RepoDigests []string
}

func (e *dockerEngine) describe(ctx context.Context, id string) (*event.Container, error) {
	var d dockerContainer
	if err := e.get(ctx, "/v1.24/containers/"+url.PathEscape(id)+"/json", &d); err != nil {
		return nil, err
	}
	c := &event.Container{
		Name: []byte(strings.TrimPrefix(d.Name, "/")), Type: e.name,
		Image: []byte(d.Config.Image), ImageID: []byte(strings.TrimPrefix(d.Image, "sha256:")),
		IP: []byte(d.NetworkSettings.IPAddress), Labels: labelsOf(d.Config.Labels),
		Privileged:  event.Say(d.HostConfig.Privileged),
		HostPID:     event.Say(d.HostConfig.PidMode == "host"),
		HostNetwork: event.Say(d.HostConfig.NetworkMode == "host"),
		HostIPC:     event.Say(d.HostConfig.IpcMode == "host"),
	}
	for _, n := range d.NetworkSettings.Networks {
		if len(c.IP) == 0 {
			c.IP = []byte(n.IPAddress)
		}
	}
	for _, m := range d.Mounts {
		c.Mounts = append(c.Mounts, event.ContainerMount{
			Source: []byte(m.Source), Dest: []byte(m.Destination), Mode: []byte(m.Mode), Propagation: []byte(m.Propagation), Writable: m.RW,
		})
	}
	repository, tag := splitImage(d.Config.Image)
	var image dockerImage
	if d.Image != "" && e.get(ctx, "/v1.24/images/"+url.PathEscape(d.Image)+"/json", &image) == nil {
		if strings.HasPrefix(d.Config.Image, "sha256:") || d.Config.Image == d.Image { // by its ID: the image knows its names
			repository, tag = "", ""
			for _, t := range image.RepoTags {
				repository, tag = splitImage(t)
				break
			}
		}
		for _, digest := range image.RepoDigests {
			if r, _ := splitImage(digest); r == repository || len(c.Digest) == 0 {
				c.Digest = []byte(digestOf(digest))
			}
		}
	}
	c.Repository, c.Tag = []byte(repository), []byte(tag)
	return c, nil
}

// get asks for a document.
func (e *dockerEngine) get(ctx context.Context, path string, v any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask the container engine: %w", err)
	}
	answer, err := e.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the container engine: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // read as far as wanted
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return errUnknown
	default:
		return fmt.Errorf("ask the container engine: %s", answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("read what the container engine says: %w", err)
	}
	return nil
}
