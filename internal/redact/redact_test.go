package redact

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

func redactor(tb testing.TB, patterns ...PatternConfig) *Redactor {
	tb.Helper()
	r, err := New(Config{Enabled: true, Patterns: patterns}, "syscall")
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestSecretsAreReplaced(t *testing.T) {
	t.Parallel()
	r := redactor(t)
	for _, tt := range []struct{ name, in, want string }{
		{"a flag and its value", "mysql --password hunter2 -h db", "mysql --password [redacted] -h db"},
		{"a flag with an equals sign", "psql --db-password=hunter2 x", "psql --db-password=[redacted] x"},
		{"a flag of one dash", "java -keystore.password hunter2", "java -keystore.password [redacted]"},
		{"a token flag", "vault login --token s.abc", "vault login --token [redacted]"},
		{"an API key flag", "tool --api-key=abc --verbose", "tool --api-key=[redacted] --verbose"},
		{"a variable", "PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql"},
		{"a variable with an underscore", "env AWS_SECRET_ACCESS_KEY=abc/def+g run", "env AWS_SECRET_ACCESS_KEY=[redacted] run"},
		{"the password of MySQL in a variable", "MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=[redacted] mysql"},
		{"user and password in a URL", "git clone https://bob:hunter2@example.com/x.git", "git clone https://bob:[redacted]@example.com/x.git"},
		{"a password with an @", "postgres://bob:p@ss@db:5432/x", "postgres://bob:[redacted]@db:5432/x"},
		{"a token in a query", "curl https://x.test/a?access_token=abc&b=c", "curl https://x.test/a?access_token=[redacted]&b=c"},
		{"a signature in a query", "https://x.test/blob?sv=1&sig=ab%2Fcd", "https://x.test/blob?sv=1&sig=[redacted]"},
		{"an escaped header in a query", "/exec?command=curl+-H+%27Authorization%3A+Bearer+abcdefghijkl%27", "/exec?command=curl+-H+%27Authorization%3A+Bearer+[redacted]%27"},
		{"an escaped variable in a query", "/exec?stdin=true&command=env%20AWS_SECRET_ACCESS_KEY%3Dhunter2%20run", "/exec?stdin=true&command=env+AWS_SECRET_ACCESS_KEY%3D[redacted]+run"},
		{"an escaped URL in a query", "curl 'https://x.test/?to=postgres%3A%2F%2Fbob%3Ahunter2%40db%2Fx' now", "curl 'https://x.test/?to=postgres%3A%2F%2Fbob%3A[redacted]%40db%2Fx' now"},
		{"arguments that are parameters", "/exec?command=mysql&command=-uroot&command=-phunter2&command=db&container=c", "/exec?command=mysql&command=-uroot&command=-p[redacted]&command=db&container=c"},
		{"a flag and its value that are parameters", "/exec?command=vault&command=--token&command=hunter2&tty=true", "/exec?command=vault&command=--token&command=[redacted]&tty=true"},
		{"a query without secrets stays", "/exec?command=ls%20-l&command=a+b&x=%zz&y", "/exec?command=ls%20-l&command=a+b&x=%zz&y"},
		{"a question is no query", "what? a=b", "what? a=b"},
		{"a bearer header", "curl -H Authorization: Bearer abcdefghijkl https://x.test", "curl -H Authorization: Bearer [redacted] https://x.test"},
		{"a basic header", `curl -H "Authorization: Basic Ym9iOng=" x`, `curl -H "Authorization: Basic [redacted]" x`},
		{"a key header", "curl -H X-Api-Key: abcdef https://x.test", "curl -H X-Api-Key: [redacted] https://x.test"},
		{"curl's user", "curl -s -u bob:hunter2 https://x.test", "curl -s -u bob:[redacted] https://x.test"},
		{"mysql's short flag", "mysql -uroot -phunter2 db", "mysql -uroot -p[redacted] db"},
		{"sshpass", "sshpass -p hunter2 ssh x", "sshpass -p [redacted] ssh x"},
		{"an access key", "echo AKIAIOSFODNN7EXAMPLE", "echo [redacted]"},
		{"a token of GitHub", "echo ghp_0123456789abcdefghijABCDEFGHIJ012345", "echo [redacted]"},
		{"a JSON web token", "echo eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "echo [redacted]"},
		{"a member of a JSON object", `curl -d {"user":"bob","password":"hunter2"}`, `curl -d {"user":"bob","password":"[redacted]"}`},
		{"a private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----"},

		{"the password file is none", "cat /etc/passwd", "cat /etc/passwd"},
		{"a flag that names a file is none", "x --password-file /run/secrets/p", "x --password-file /run/secrets/p"},
		{"a flag after a flag is none", "x --no-password --verbose", "x --no-password --verbose"},
		{"the working directory is none", "PWD=/home/bob OLDPWD=/root", "PWD=/home/bob OLDPWD=/root"},
		{"a user and a group are none", "docker run -u 1000:1000 x", "docker run -u 1000:1000 x"},
		{"a port is none", "curl http://localhost:8080/x@y", "curl http://localhost:8080/x@y"},
		{"a path with the word is none", "ls /var/lib/secrets/token", "ls /var/lib/secrets/token"},
		{"mkdir -p is none", "mkdir -p/tmp/x", "mkdir -p/tmp/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &alert.Alert{Output: "x (cmd=" + tt.in + " user=root)"}
			r.Alert(a)
			if want := "x (cmd=" + tt.want + " user=root)"; a.Output != want {
				t.Errorf("redact %q\n got %s\nwant %s", tt.in, a.Output, want)
			}
			once := a.Output
			r.Alert(a)
			if a.Output != once {
				t.Errorf("redact again: %s", a.Output)
			}
		})
	}
}

func split(args ...string) [][]byte {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return list
}

// TestNoPartOfAnAlertShowsASecret has a secret with a blank in it, which only the list
// of arguments tells from two words.
func TestNoPartOfAnAlertShowsASecret(t *testing.T) {
	t.Parallel()
	const line = "--password open sesame --host db"
	image := &event.Image{
		Name: []byte("psql"), Exe: []byte("psql"), Args: split("--password", "open sesame", "--host", "db"),
		ArgLine: []byte(line), Cmdline: []byte("psql " + line), Env: split("PGPASSWORD=x"),
	}
	text := func(s string) field.Value { return field.Value{Text: s, Valid: true} }
	a := &alert.Alert{
		Output: "psql ran psql " + line + " of bash " + line,
		Image:  image, Parent: image,
		Fields: []alert.Field{
			{Name: "proc.cmdline", Value: text("psql " + line)},
			{Name: "proc.args", Value: text(line)},
			{Name: "proc.acmdline", Value: text("psql " + line)},
			{Name: "user.name", Value: text("bob")},
		},
		Fold: &alert.Fold{Values: []alert.FoldValues{{Name: "proc.cmdline", Texts: []string{"psql " + line}}}},
	}
	fields := a.Fields
	r := redactor(t)
	r.Alert(a)
	const redacted = "--password [redacted] --host db"
	if a.Output != "psql ran psql "+redacted+" of bash "+redacted {
		t.Errorf("Output = %q", a.Output)
	}
	for _, i := range []*event.Image{a.Image, a.Parent} {
		if diff := cmp.Diff(split("--password", "[redacted]", "--host", "db"), i.Args); diff != "" {
			t.Errorf("Args (-want +got):\n%s", diff)
		}
		if string(i.Cmdline) != "psql "+redacted || string(i.ArgLine) != redacted || i.Env != nil {
			t.Errorf("the image has %q, %q, %q", i.Cmdline, i.ArgLine, i.Env)
		}
	}
	for i, want := range []string{"psql " + redacted, redacted, "psql " + redacted, "bob"} {
		if got := a.Fields[i].Value.Text; got != want {
			t.Errorf("%s = %q, want %q", a.Fields[i].Name, got, want)
		}
	}
	if got := a.Fold.Values[0].Texts[0]; got != "psql "+redacted {
		t.Errorf("a folded value is %q", got)
	}
	if string(image.Cmdline) != "psql "+line || fields[0].Value.Text != "psql "+line || string(image.Args[1]) != "open sesame" {
		t.Error("what others share was changed")
	}
	if r.Records() != 1 {
		t.Errorf("%d records, want 1", r.Records())
	}
}

func TestAShortFlagShowsInNoArgument(t *testing.T) {
	t.Parallel()
	a := &alert.Alert{Image: &event.Image{
		Name: []byte("mysql"), Exe: []byte("mysql"), Args: split("-uroot", "-phunter2"),
		ArgLine: []byte("-uroot -phunter2"), Cmdline: []byte("mysql -uroot -phunter2"),
	}}
	redactor(t).Alert(a)
	if string(a.Image.Cmdline) != "mysql -uroot -p[redacted]" {
		t.Errorf("Cmdline = %q", a.Image.Cmdline)
	}
	for _, arg := range a.Image.Args {
		if strings.Contains(string(arg), "hunter2") {
			t.Errorf("Args = %q", a.Image.Args)
		}
	}
}

func TestListsAreRedacted(t *testing.T) {
	t.Parallel()
	a := &alert.Alert{
		Output: "pod with (--token,s3cr3t,-v)",
		Fields: []alert.Field{{Name: "ka.req.pod.containers.args", Value: field.Value{List: []string{"--token", "s3cr3t", "-v"}, Valid: true}}},
	}
	redactor(t).Alert(a)
	if diff := cmp.Diff([]string{"--token", Mask, "-v"}, a.Fields[0].Value.List); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if a.Output != "pod with (--token,[redacted],-v)" {
		t.Errorf("Output = %q", a.Output)
	}
}

func TestPatternsOfTheUser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		pattern PatternConfig
		want    string
	}{
		{"everywhere", PatternConfig{Pattern: `cust-\d+`}, "user [redacted] ran x [redacted]"},
		{"only what the group matches", PatternConfig{Pattern: `cust-(\d+)`}, "user cust-[redacted] ran x cust-[redacted]"},
		{"in one field only", PatternConfig{Pattern: `cust-\d+$`, Fields: []string{"proc.cmdline"}}, "user cust-1 ran x [redacted]"},
		{"all of a field", PatternConfig{Pattern: `.+`, Fields: []string{"proc.cmdline"}}, "user cust-1 ran [redacted]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &alert.Alert{
				Output: "user cust-1 ran x cust-22",
				Fields: []alert.Field{
					{Name: "user.name", Value: field.Value{Text: "cust-1", Valid: true}},
					{Name: "proc.cmdline", Value: field.Value{Text: "x cust-22", Valid: true}},
				},
			}
			redactor(t, tt.pattern).Alert(a)
			if a.Output != tt.want {
				t.Errorf("Output = %q, want %q", a.Output, tt.want)
			}
		})
	}
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c.Patterns = []PatternConfig{{Pattern: "("}, {Pattern: "x*"}, {}}
	want := "patterns::0: pattern: error parsing regexp: missing closing ): `(`\n" +
		"patterns::1: pattern: \"x*\" matches the empty text\n" +
		"patterns::2: pattern: it has 0 bytes; 1 to 4096 are allowed"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate\n got %v\nwant %s", err, want)
	}
	if _, err := New(Config{Enabled: true, Patterns: []PatternConfig{{Pattern: "x", Fields: []string{"proc.nmae"}}}}, "syscall"); err == nil || !strings.Contains(err.Error(), "proc.name") {
		t.Errorf("New with an unknown field: %v", err)
	}
	if r, err := New(Config{}, "syscall"); r != nil || err != nil {
		t.Errorf("New when it is off = %v, %v", r, err)
	}
	var off *Redactor
	a := &alert.Alert{Output: "--password x"}
	if off.Alert(a); a.Output != "--password x" || off.Records() != 0 {
		t.Errorf("redaction is off, but the output is %q", a.Output)
	}
}

// FuzzAlert holds that what follows the flag of a password is never shown.
func FuzzAlert(f *testing.F) {
	f.Add("x ", "hunter2")
	f.Add("curl -u a:", "b c")
	r := redactor(f)
	f.Fuzz(func(t *testing.T, before, value string) {
		value = "Zq" + strings.Map(func(c rune) rune {
			if c > ' ' && c < 0x7f && !strings.ContainsRune(`"'`, c) {
				return c
			}
			return -1
		}, value) + "qZ"
		if strings.Contains(before, "Zq") {
			return
		}
		a := &alert.Alert{Output: before + " --password " + value + " after"}
		r.Alert(a)
		if strings.Contains(a.Output, value) {
			t.Errorf("redact %q: the password %q shows in %q", before, value, a.Output)
		}
	})
}

func BenchmarkAlert(b *testing.B) {
	r := redactor(b)
	line := strings.Repeat("argument ", 50)
	image := &event.Image{Name: []byte("x"), Args: split(strings.Fields(line)...), ArgLine: []byte(line), Cmdline: []byte("x " + line)}
	b.ReportAllocs()
	for b.Loop() {
		r.Alert(&alert.Alert{Output: "x ran " + line, Image: image})
	}
}
