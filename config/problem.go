package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is a mistake in the configuration.
type Problem struct {
	Origin Origin // where the mistaken value was set
	Path   string // key, with :: between the levels; empty: the whole layer
	Text   string
}

func (p Problem) String() string {
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Origin.Layer == Defaults {
		return text
	}
	return p.Origin.String() + ": " + text
}

// Problems are all mistakes that were found, as one error.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sort puts ps in the order of layers, and in a file in that of its lines.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Origin.Layer, b.Origin.Layer),
			cmp.Compare(a.Origin.Name, b.Origin.Name),
			cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
}

// err returns ps as an error, which is nil if there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.Sort()
	return ps
}

// didYouMean returns "; did you mean …?" with the word nearest to a mistaken one, or
// what the words are if none is near and they are few.
func didYouMean(word string, words []string) string {
	if near := nearest(word, words); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if 0 < len(words) && len(words) <= 12 {
		return "; there is: " + strings.Join(words, ", ")
	}
	return ""
}

// nearest returns the word with the least edit distance from a mistaken one, or nothing
// if all are too different to be meant.
func nearest(word string, words []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, w := range words {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that
// turn a into b.
func distance(a, b string) int {
	const longest = 64 // no key is longer; the table stays small whatever is asked
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var before, last, row [longest + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
