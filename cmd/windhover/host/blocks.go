package host

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/receiver"

	"github.com/windhover/windhover/config"
)

// Factories are the components that there are.
type Factories struct {
	Receivers  []receiver.Factory
	Exporters  []exporter.Factory
	Extensions []extension.Factory
}

// Types returns the types of the components, for package config.
func (f Factories) Types() map[config.Section][]string {
	return map[config.Section][]string{
		config.Receivers:  types(f.Receivers),
		config.Exporters:  types(f.Exporters),
		config.Extensions: types(f.Extensions),
	}
}

func types[F component.Factory](factories []F) []string {
	var names []string
	for _, f := range factories {
		names = append(names, f.Type().String())
		if old, ok := alias(f); ok {
			names = append(names, old.String())
		}
	}
	slices.Sort(names)
	return names
}

// alias returns the type that a component had before, which is still understood: a
// collector's configuration may have been written then.
func alias(f component.Factory) (component.Type, bool) {
	a, ok := f.(interface{ DeprecatedAlias() component.Type })
	if !ok || a.DeprecatedAlias().String() == "" {
		return component.Type{}, false
	}
	return a.DeprecatedAlias(), true
}

// Block is one component: what makes it, and its complete configuration.
type Block[F component.Factory] struct {
	ID      component.ID
	Factory F
	Config  component.Config
}

// Source is the block of a receiver, with what the daemon itself reads from it.
type Source struct {
	Block[receiver.Factory]
	OnError OnError
}

// OnError says what happens when a source fails.
type OnError string

// What can happen when a source fails.
const (
	Stop     OnError = "stop"     // the daemon ends, with an error
	Continue OnError = "continue" // the other sources go on
	Restart  OnError = "restart"  // it is started again, later and later
)

// onErrorKey is a key of every receiver, also of one whose configuration lacks it.
const onErrorKey = "on_error"

// Blocks are the components of a configuration.
type Blocks struct {
	Config     *config.Config
	Sources    []Source
	Exporters  []Block[exporter.Factory]
	Extensions []Block[extension.Factory]
}

// Configure completes every component's block with its defaults and validates it. The
// error is of type config.Problems and has everything that is wrong.
func Configure(l *config.Loaded, f Factories) (*Blocks, error) {
	b := &Blocks{Config: l.Config}
	var problems config.Problems
	keep := func(err error) {
		if ps, ok := errors.AsType[config.Problems](err); ok {
			problems = append(problems, ps...)
		}
	}
	for _, id := range l.IDs(config.Receivers) {
		block, factory := find(f.Receivers, id)
		block.Config = factory.CreateDefaultConfig()
		s := Source{Block: block, OnError: Stop}
		if policy, set := l.Block(config.Receivers, id)[onErrorKey]; set {
			s.OnError = OnError(fmt.Sprint(policy))
		}
		if !slices.Contains([]OnError{Stop, Continue, Restart}, s.OnError) {
			keep(l.Problem(config.Receivers, id, onErrorKey, fmt.Sprintf("%q is none of stop, continue, restart", s.OnError)))
		}
		if config.HasKey(block.Config, onErrorKey) {
			keep(l.Decode(config.Receivers, id, block.Config))
		} else {
			keep(l.DecodeWithout(config.Receivers, id, block.Config, onErrorKey))
		}
		keep(extensionProblem(l, config.Receivers, id, "rules"))
		keep(extensionProblem(l, config.Receivers, id, "files", "storage"))
		b.Sources = append(b.Sources, s)
	}
	for _, id := range l.IDs(config.Exporters) {
		block, factory := find(f.Exporters, id)
		block.Config = factory.CreateDefaultConfig()
		boundQueue(block.Config, l.Block(config.Exporters, id))
		keep(l.Decode(config.Exporters, id, block.Config))
		keep(extensionProblem(l, config.Exporters, id, "sending_queue", "storage"))
		if block.Factory.Type() == otlpHTTP {
			for _, key := range []string{"endpoint", "logs_endpoint", "metrics_endpoint"} {
				keep(endpointProblem(l, id, key))
			}
		}
		b.Exporters = append(b.Exporters, block)
	}
	for _, id := range l.IDs(config.Extensions) {
		block, factory := find(f.Extensions, id)
		block.Config = factory.CreateDefaultConfig()
		keep(l.Decode(config.Extensions, id, block.Config))
		b.Extensions = append(b.Extensions, block)
	}
	if len(problems) > 0 {
		problems.Sort()
		return nil, problems
	}
	return b, nil
}

// queueBytes bounds what waits in one exporter while its endpoint is down.
const queueBytes = 8 << 20

// boundQueue gives the sending queue of an upstream exporter a bound in bytes, unless
// the user sets one of another kind. Upstream's own default is 1,000 requests, each of
// up to 128 alerts: hundreds of megabytes while an endpoint is down.
func boundQueue(cfg component.Config, block map[string]any) {
	set, _ := block["sending_queue"].(map[string]any)
	_, size := set["queue_size"]
	_, sizer := set["sizer"]
	effective, err := config.Effective(cfg)
	if err != nil || size || sizer {
		return // what cannot be written is reported where it is decoded
	}
	queue, ok := effective["sending_queue"].(map[string]any)
	if !ok || queue["sizer"] != "requests" {
		return
	}
	bound := map[string]any{"sending_queue": map[string]any{"sizer": "bytes", "queue_size": queueBytes}}
	if err := confmap.NewFromStringMap(bound).Unmarshal(cfg); err != nil {
		panic("BUG: host: sending_queue without a size in bytes: " + err.Error())
	}
}

// extensionProblem says that a key of a component names an extension that there is not:
// by itself the component would find that out when it starts.
func extensionProblem(l *config.Loaded, s config.Section, id string, path ...string) error {
	block := l.Block(s, id)
	for _, key := range path[:len(path)-1] {
		block, _ = block[key].(map[string]any)
	}
	name, _ := block[path[len(path)-1]].(string)
	if name == "" || slices.Contains(l.IDs(config.Extensions), name) {
		return nil
	}
	return l.Problem(s, id, strings.Join(path, config.Delimiter), "no extension "+strconv.Quote(name)+"; set extensions::"+name)
}

// otlpHTTP is the type of an exporter that tries again and again to send to what is no URL.
var otlpHTTP = component.MustNewType("otlp_http")

// endpointProblem says that an address that has to be a URL is none.
func endpointProblem(l *config.Loaded, id, key string) error {
	endpoint, _ := l.Block(config.Exporters, id)[key].(string)
	if endpoint == "" || strings.HasPrefix(endpoint, "http://") || strings.HasPrefix(endpoint, "https://") {
		return nil
	}
	return l.Problem(config.Exporters, id, key, fmt.Sprintf("%q is no URL; did you mean \"http://%[1]s\"?", endpoint))
}

// find returns the factory for an ID that package config has found to be one.
func find[F component.Factory](factories []F, id string) (Block[F], F) {
	var parsed component.ID
	if err := parsed.UnmarshalText([]byte(id)); err != nil {
		panic("BUG: host: ID that was checked does not parse: " + err.Error())
	}
	for _, f := range factories {
		if old, ok := alias(f); f.Type() == parsed.Type() || ok && old == parsed.Type() {
			return Block[F]{ID: parsed, Factory: f}, f
		}
	}
	panic("BUG: host: no factory for an ID that was checked: " + id)
}

// Effective returns the whole configuration, with every component's defaults, as the map
// that would make it. Secrets are left out.
func (b *Blocks) Effective() (map[string]any, error) {
	tree, err := config.Effective(b.Config)
	if err != nil {
		return nil, err
	}
	receivers := map[string]any{}
	for _, s := range b.Sources {
		m, err := config.Effective(s.Config)
		if err != nil {
			return nil, fmt.Errorf("write receiver %s: %w", s.ID, err)
		}
		m[onErrorKey] = string(s.OnError)
		receivers[s.ID.String()] = m
	}
	exporters := map[string]any{}
	for _, e := range b.Exporters {
		m, err := config.Effective(e.Config)
		if err != nil {
			return nil, fmt.Errorf("write exporter %s: %w", e.ID, err)
		}
		exporters[e.ID.String()] = m
	}
	extensions := map[string]any{}
	for _, e := range b.Extensions {
		m, err := config.Effective(e.Config)
		if err != nil {
			return nil, fmt.Errorf("write extension %s: %w", e.ID, err)
		}
		extensions[e.ID.String()] = m
	}
	tree[string(config.Receivers)] = receivers
	tree[string(config.Exporters)] = exporters
	tree[string(config.Extensions)] = extensions
	return tree, nil
}
