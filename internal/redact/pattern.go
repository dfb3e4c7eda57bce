package redact

import (
	"regexp"
	"strings"
)

// Mask stands where a secret was.
const Mask = "[redacted]"

// pattern is a regular expression for texts that have one of some words.
type pattern struct {
	re *regexp.Regexp
	// words are in lower case; a text without any of them cannot match. Patterns of the
	// user have none.
	words []string
	// fields are those that it is looked for in; nil: every text.
	fields map[string]bool
}

// secret are the words that make a name that of a secret.
const secret = `(?:pass(?:word|wd|phrase)|passwd|secrets?|tokens?|api[-_]?key|access[-_]?key|account[-_]?key|secret[-_]?key|private[-_]?key|encryption[-_]?key|credentials?)`

var secretWords = []string{"pass", "secret", "token", "key", "credential", "pwd"}

// builtin are the patterns that apply unless redaction is off. Each has one group: the
// secret.
var builtin = []pattern{
	// User and password in a URL. The last @ before the path ends the password.
	{re: regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@?#]*:([^\s/]+)@`), words: []string{"://"}},
	// --password x, -token=x, --db-password "x y". A value that begins with a dash is
	// the next flag.
	{re: regexp.MustCompile(`(?i)(?:^|[\s"'(=])--?(?:[a-z0-9_.-]*[-_.])?(?:` + secret + `|pwd)(?:=["']?|\s+["']?)([^\s"'-][^\s"']*)`), words: secretWords},
	// NAME_PASSWORD=x, ?access_token=x&, password=x;
	{re: regexp.MustCompile(`(?i)(?:^|[\s?&;,"'({\[])-{0,2}(?:[a-z0-9_.-]*[-_.])?(?:pg|db|mysql|sql)?(?:` + secret + `|[a-z0-9]+_(?:pwd|pass|key|auth)|client_?secret|signature|x-amz-signature|sig)=["']?([^\s&;,"')}\]]+)`), words: append([]string{"sig", "auth"}, secretWords...)},
	// PGPASSWORD=x, MYSQL_PWD=x, dbPassword=x: the word ends a longer one.
	{re: regexp.MustCompile(`(?i)\b[a-z0-9_]+(?:password|passwd|passphrase|secret|token|apikey|accesskey|secretkey|accountkey|_pwd)=["']?([^\s&;,"')}\]]+)`), words: secretWords},
	// "password": "x" in JSON, password: x in YAML and headers.
	{re: regexp.MustCompile(`(?i)["']?(?:\b|[a-z0-9_.-]*[-_.])` + secret + `\\?["']?\s*:\s*\\?["']?([^\s"'\\,;}\]]+)`), words: secretWords},
	{re: regexp.MustCompile(`(?i)\b(?:proxy-)?authorization\\?["']?\s*[:=]\s*["'\\]*(?:(?:bearer|basic|digest|token|negotiate|apikey|aws4-hmac-sha256)\s+)?([^\s"'\\]+)`), words: []string{"authorization"}},
	{re: regexp.MustCompile(`(?i)\bbearer\s+([a-z0-9._~+/=-]{8,})`), words: []string{"bearer"}},
	{re: regexp.MustCompile(`(?i)\b(?:set-)?cookie\s*:\s*([^"'\r\n]+)`), words: []string{"cookie"}},
	// Programs whose short flags take a password.
	{re: regexp.MustCompile(`(?i)\b(?:curl|wget)\s(?:.*\s)?(?:-u|-U|--user|--proxy-user)[ =]?["']?[^\s:"']+:([^\s"']+)`), words: []string{"curl", "wget"}},
	{re: regexp.MustCompile(`\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)\s(?:.*\s)?-p([^\s"']+)`), words: []string{"mysql", "mariadb"}},
	{re: regexp.MustCompile(`\bsshpass\s+-p\s*["']?([^\s"']+)`), words: []string{"sshpass"}},
	{re: regexp.MustCompile(`\bredis-cli\s(?:.*\s)?-a\s+["']?([^\s"']+)`), words: []string{"redis-cli"}},
	{re: regexp.MustCompile(`\bldap(?:search|modify|add|delete|passwd)\s(?:.*\s)?-w\s*["']?([^\s"']+)`), words: []string{"ldap"}},
	{re: regexp.MustCompile(`\b(?:docker|podman|buildah|skopeo|helm)\s(?:.*\s)?login\s(?:.*\s)?-p\s*["']?([^\s"']+)`), words: []string{"login"}},
	{re: regexp.MustCompile(`(?:-pass(?:in|out)?|-passphrase)\s+(?:pass:)?([^\s"']+)`), words: []string{"-pass"}},
	// Keys that can be told by their form.
	{re: regexp.MustCompile(`\b((?:AKIA|ASIA)[A-Z0-9]{16})\b`), words: []string{"akia", "asia"}},
	{re: regexp.MustCompile(`\b((?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}))`), words: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"}},
	{re: regexp.MustCompile(`\b(xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{40,}|hvs\.[A-Za-z0-9_-]{20,})`), words: []string{"xox", "aiza", "k_live_", "k_test_", "sk-", "npm_", "dop_v1_", "hvs."}},
	{re: regexp.MustCompile(`\b(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)`), words: []string{"eyj"}},
	{re: regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END|$)`), words: []string{"private key-----"}},
}

// index finds in one pass which of the built-in patterns can match a text: the others
// cost nothing.
type index struct {
	pairs [1 << 16 / 64]uint64 // which pairs of bytes begin a word
	words map[[2]byte][]indexed
}

type indexed struct {
	word     string
	patterns uint64 // a bit for each
}

func newIndex(patterns []pattern) *index {
	if len(patterns) > 64 {
		panic("BUG: redact: more patterns than bits")
	}
	x := &index{words: map[[2]byte][]indexed{}}
	for i := range patterns {
		for _, w := range patterns[i].words {
			pair := [2]byte{w[0], w[1]}
			at := uint(pair[0])<<8 | uint(pair[1])
			x.pairs[at/64] |= 1 << (at % 64)
			x.words[pair] = append(x.words[pair], indexed{w, 1 << i})
		}
	}
	return x
}

// lower returns c in lower case, if it is a letter of ASCII.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// candidates returns which patterns can match s.
func (x *index) candidates(s string) uint64 {
	if len(s) < 2 {
		return 0
	}
	var found uint64
	first := lower(s[0])
	for i := 1; i < len(s); i++ {
		second := lower(s[i])
		if at := uint(first)<<8 | uint(second); x.pairs[at/64]&(1<<(at%64)) != 0 {
			for _, w := range x.words[[2]byte{first, second}] {
				if found&w.patterns != w.patterns && hasPrefixFold(s[i-1:], w.word) {
					found |= w.patterns
				}
			}
		}
		first = second
	}
	return found
}

func hasPrefixFold(s, word string) bool {
	if len(s) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower(s[i]) != word[i] {
			return false
		}
	}
	return true
}

// replace returns s with what the groups of p match replaced.
func (p *pattern) replace(s string) string {
	found := p.re.FindAllStringSubmatchIndex(s, -1)
	if found == nil {
		return s
	}
	var b strings.Builder
	last := 0
	mask := func(from, to int) {
		if from < last || from == to || strings.HasPrefix(s[from:], Mask) {
			return
		}
		b.WriteString(s[last:from])
		b.WriteString(Mask)
		last = to
	}
	for _, m := range found {
		if len(m) == 2 {
			mask(m[0], m[1])
			continue
		}
		for i := 2; i < len(m); i += 2 {
			if m[i] >= 0 {
				mask(m[i], m[i+1])
			}
		}
	}
	if last == 0 {
		return s
	}
	b.WriteString(s[last:])
	return b.String()
}

// A flag whose value is the next argument.
var secretFlag = regexp.MustCompile(`(?i)^--?(?:[a-z0-9_.-]*[-_.])?(?:` + secret + `|pwd)$`)

// redactList returns list with the arguments replaced that follow the flag of a secret,
// or list itself. Where words have blanks in them, only the list tells where they end.
func redactList(list []string) []string {
	out := list
	for i := 1; i < len(list); i++ {
		value := list[i]
		if strings.HasPrefix(list[i-1], "-") && value != "" && value[0] != '-' && value != Mask && secretFlag.MatchString(list[i-1]) {
			if &out[0] == &list[0] {
				out = append([]string(nil), list...)
			}
			out[i] = Mask
		}
	}
	return out
}
