package rulesextension

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/rulesextension/internal/metadata"
)

const goodRule = `
- rule: One
  desc: A rule of the test.
  condition: evt.type = execve
  output: one
  priority: NOTICE
`

func start(tb testing.TB, config *Config) (*rulesExtension, error) {
	tb.Helper()
	if err := config.Validate(); err != nil {
		tb.Fatal(err)
	}
	e, err := NewFactory().Create(tb.Context(), extensiontest.NewNopSettings(metadata.Type), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return e.(*rulesExtension), e.Start(tb.Context(), componenttest.NewNopHost())
}

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestWithoutFilesTheShippedRulesAreUsed(t *testing.T) {
	t.Parallel()
	e, err := start(t, createDefaultConfig().(*Config))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(e.Live().Set().Rules()); n < 25 {
		t.Errorf("%d rules are loaded, want at least 25", n)
	}
}

func TestAChangedFileIsLoadedAndABadOneRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, file, goodRule)
	config := createDefaultConfig().(*Config)
	config.Files = []string{file}
	e, err := start(t, config)
	if err != nil {
		t.Fatal(err)
	}

	swapped := make(chan int, 8)
	defer e.Live().OnSwap(func(*rules.Set) { swapped <- 1 })()
	write(t, file, goodRule+strings.ReplaceAll(goodRule, "One", "Two"))
	select {
	case <-swapped:
	case <-time.After(10 * time.Second):
		t.Fatal("the changed file was not loaded")
	}
	if got, want := len(e.Live().Set().Rules()), 2; got != want {
		t.Errorf("%d rules after the change, want %d", got, want)
	}

	before := e.Live().Set()
	write(t, file, strings.ReplaceAll(goodRule, "evt.type", "evt.tpye"))
	err = e.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "evt.type") {
		t.Errorf("Reload of a bad file = %v, want an error that names the nearest field, evt.type", err)
	}
	if e.Live().Set() != before {
		t.Error("a bad file replaced the rules")
	}
	if s := e.stats(); s.ReloadFailures == 0 || s.Reloads == 0 || s.Generation != 2 || !s.Stale {
		t.Errorf("stats = %+v, want a failure, a reload, generation 2 and stale rules", s)
	}
	write(t, file, goodRule)
	if err := e.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if s := e.stats(); s.Stale {
		t.Errorf("stats = %+v after a reload that succeeded, want rules that are not stale", s)
	}
}

// A log that is kept beside the rules would otherwise have them read for every line, and
// say so in a line.
func TestOtherFilesInTheDirectoryAreNotRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	write(t, file, goodRule)
	config := createDefaultConfig().(*Config)
	config.Files = []string{file}
	e, err := start(t, config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "- rule: bad")
	if err := e.Reload(t.Context()); err == nil {
		t.Fatal("a bad file was loaded")
	}
	failures := e.stats().ReloadFailures
	for range 5 {
		write(t, filepath.Join(dir, "log"), "a line")
		e.changed()
	}
	if got := e.stats().ReloadFailures; got != failures {
		t.Errorf("%d loads failed after changes of another file, want none", got-failures)
	}
	write(t, file, "- rule: also bad")
	e.changed()
	if got := e.stats().ReloadFailures; got <= failures {
		t.Error("a change of the rules went unnoticed")
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	write(t, bad, strings.ReplaceAll(goodRule, "execve", "execvee"))
	for _, tt := range []struct{ name, file, want string }{
		{"a file that is not there", filepath.Join(dir, "none.yaml"), "no such file"},
		{"a rule with an unknown event type", bad, "execve"},
		{"a directory without rules", filepath.Join(dir, "empty"), "no rules in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o700); err != nil {
				t.Fatal(err)
			}
			config := createDefaultConfig().(*Config)
			config.Files = []string{tt.file}
			_, err := start(t, config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start with %s = %v, want an error with %q", tt.file, err, tt.want)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"an empty file name", func(c *Config) { c.Files = []string{""} }, "files[0]"},
		{"an unknown way of matching", func(c *Config) { c.RuleMatching = "some" }, "rule_matching"},
		{"an unknown priority", func(c *Config) { c.Priority = "loud" }, "priority"},
		{"a selector that says both", func(c *Config) {
			c.Select = []SelectConfig{{Enable: MatchConfig{Rule: "a"}, Disable: MatchConfig{Tag: "b"}}}
		}, "select[0]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := createDefaultConfig().(*Config)
			tt.change(c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate() = %v, want an error about %s", err, tt.want)
			}
		})
	}
}

func TestShutdownBeforeStart(t *testing.T) {
	t.Parallel()
	e, err := NewFactory().Create(t.Context(), extension.Settings{ID: extensiontest.NewNopSettings(metadata.Type).ID}, createDefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
