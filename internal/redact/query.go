package redact

import (
	"net/url"
	"slices"
	"strings"
)

// endOfQuery are bytes that no query has: what is around a URL.
const endOfQuery = " \t\r\n\"'`<>()|"

// queries returns s with the secrets in queries of URLs replaced that only show when the
// query is read: values are escaped in it, and the arguments of one command can be as
// many parameters, as in a request to run something in a pod.
func (p *pass) queries(name, s string) string {
	var out strings.Builder
	rest := s
	for {
		before, after, ok := strings.Cut(rest, "?")
		if !ok {
			break
		}
		query := after
		if i := strings.IndexAny(after, endOfQuery); i >= 0 {
			query = after[:i]
		}
		out.WriteString(before)
		out.WriteByte('?')
		out.WriteString(p.query(name, query))
		rest = after[len(query):]
	}
	if out.Len() == 0 {
		return s
	}
	out.WriteString(rest)
	return out.String()
}

// separator joins values that follow each other. Patterns take it for space; hardly any
// value has it.
const separator = "\t"

func (p *pass) query(name, query string) string {
	params := strings.Split(query, "&")
	changed := false
	for from := 0; from < len(params); {
		key, _, _ := strings.Cut(params[from], "=")
		to := from + 1
		for to < len(params) && strings.HasPrefix(params[to], key+"=") {
			to++
		}
		changed = p.values(name, params[from:to]) || changed
		from = to
	}
	if !changed {
		return query
	}
	return strings.Join(params, "&")
}

// values replaces the secrets in parameters of one key, and reports whether there are any.
func (p *pass) values(name string, params []string) bool {
	list := make([]string, len(params))
	for i, param := range params {
		_, value, _ := strings.Cut(param, "=")
		list[i] = value
		if text, err := url.QueryUnescape(value); err == nil {
			list[i] = text
		}
	}
	out := redactList(list)
	line := strings.Join(out, separator)
	if redacted := p.patterns(name, line); redacted != line {
		if out = strings.Split(redacted, separator); len(out) != len(list) {
			out = slices.Repeat([]string{Mask}, len(list))
		}
	}
	changed := false
	for i := range out {
		if out[i] != list[i] {
			key, _, _ := strings.Cut(params[i], "=")
			params[i] = key + "=" + strings.ReplaceAll(url.QueryEscape(out[i]), url.QueryEscape(Mask), Mask)
			changed = true
		}
	}
	return changed
}
