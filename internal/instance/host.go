package instance

import (
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"

	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/rules"
)

// FindRules returns the rule set of the extension called id, or an empty one if id is.
func FindRules(host component.Host, id string) (*rules.Live, error) {
	if id == "" {
		set, _ := rules.Compile(nil, rules.Options{})
		return rules.NewLive(set), nil
	}
	for have, ext := range host.GetExtensions() {
		if have.String() != id {
			continue
		}
		p, ok := ext.(rules.Provider)
		if !ok {
			return nil, fmt.Errorf("use extension %s: it holds no rules; use one of type windhover_rules", id)
		}
		return p.Live(), nil
	}
	return nil, fmt.Errorf("find extension %s: there is none; add it to extensions, in a collector also to service::extensions, or set rules to another", id)
}

// Keep shows accounts to whoever reads metrics, until the returned function is called:
// in the book of the process if the host keeps one, else in one of their own.
func Keep(host component.Host, provider metric.MeterProvider, accounts []*ledger.Source) (undo func(), err error) {
	if k, ok := host.(ledger.Keeper); ok {
		var removes []func()
		for _, a := range accounts {
			removes = append(removes, k.Book().Add(a))
		}
		return func() {
			for _, remove := range removes {
				remove()
			}
		}, nil
	}
	var book ledger.Book
	for _, a := range accounts {
		book.Add(a)
	}
	unregister, err := otlp.Instrument(provider, &book)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return func() { _ = unregister() }, nil
}
