package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/audit"
)

// fixture is an audit log in memory, with a clock that tests move.
type fixture struct {
	*audit.Log
	t   *testing.T
	out bytes.Buffer
	now time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.Log = audit.New(&f.out, func() time.Time { return f.now })
	return f
}

// read returns the lines since the last read, decoded.
func (f *fixture) read() []map[string]any {
	f.t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(f.out.Bytes()) {
		if err := audit.Check(line); err != nil {
			f.t.Errorf("%v: %s", err, line)
		}
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, got)
	}
	f.out.Reset()
	return all
}

func refused(verdict, source string) audit.Line {
	return audit.Line{Event: audit.CredentialRefused, Endpoint: "verify", Verdict: verdict, Source: netip.MustParseAddr(source)}
}

func revokedUse(token string) audit.Line {
	return audit.Line{Event: audit.CredentialRevokedUse, Endpoint: "verify", Verdict: "Revoked", Token: token, Source: netip.MustParseAddr("192.0.2.1")}
}

func TestAudit_LineHasTheKeysOfItsEvent(t *testing.T) {
	f := newFixture(t)
	f.Write(audit.Line{
		Event: audit.CredentialRefused, Endpoint: "verify", Verdict: "Expired", Token: "at-1", Kind: "Application", Subject: "shop/indexer",
		Client: "acme", Source: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("192.0.2.2"),
	})
	const want = `{"time":"2026-03-01T12:00:00Z","logger":"audit","event":"credential.refused","endpoint":"verify","verdict":"Expired",` +
		`"source":"192.0.2.1","token":"at-1","kind":"Application","subject":"shop/indexer","client":"acme"}` + "\n"
	if got := f.out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for sentence, line := range map[string]string{
		"a key of another event": `{"time":"2026-03-01T12:00:00Z","logger":"audit","event":"login.ended","verdict":"Expired"}`,
		"an unknown event":       `{"time":"2026-03-01T12:00:00Z","logger":"audit","event":"refused"}`,
		"no time":                `{"logger":"audit","event":"login.ended"}`,
		"an empty value":         `{"time":"2026-03-01T12:00:00Z","logger":"audit","event":"login.ended","user":""}`,
		"a list":                 `{"time":"2026-03-01T12:00:00Z","logger":"audit","event":"login.ended","user":["a"]}`,
		"no JSON":                `refused`,
	} {
		if audit.Check([]byte(line)) == nil {
			t.Errorf("%s passes the check", sentence)
		}
	}
}

func TestAudit_ValuesAreBounded(t *testing.T) {
	f := newFixture(t)
	f.Write(audit.Line{Event: audit.LoginFailed, Reason: strings.Repeat("é\n", 10000), User: strings.Repeat("u", 10000)})
	f.read()
}

// Alerts are written against the page, so every key that it names must exist.
func TestAudit_SchemaIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[audit.Event][]string{}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\|[^|]*\\| (.*) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		var keys []string
		for _, key := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(m[2], -1) {
			keys = append(keys, key[1])
		}
		documented[audit.Event(m[1])] = keys
	}
	common := []string{"time", "logger", "event"}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| ").FindAllStringSubmatch(string(page), -1) {
		explained[m[1]] = true
	}
	for _, event := range audit.Events() {
		keys := audit.Keys(event)
		if got := append(slices.Clone(common), documented[event]...); !slices.Equal(got, keys) {
			t.Errorf("the page gives %s the keys %v, want %v", event, got, keys)
		}
		for _, key := range keys {
			if !explained[key] {
				t.Errorf("the page does not explain the key %q of %s", key, event)
			}
		}
		delete(documented, event)
	}
	if len(documented) > 0 {
		t.Errorf("the page has events that are not in the schema: %v", documented)
	}
}

func TestAudit_SourceHasItsOwnLimit(t *testing.T) {
	f := newFixture(t)
	for range 1000 {
		f.WriteLimited(refused("Unknown", "192.0.2.1"))
	}
	f.WriteLimited(refused("Unknown", "198.51.100.1"))
	if lines := f.read(); len(lines) != 11 || lines[10]["source"] != "198.51.100.1" {
		t.Errorf("%d lines, want ten of the flooder and one of the other: %v", len(lines), lines)
	}
	for i := range 1000 { // a network of one caller
		f.WriteLimited(refused("Unknown", fmt.Sprintf("2001:db8::%x", i)))
	}
	if lines := f.read(); len(lines) != 10 {
		t.Errorf("%d lines of one network of IPv6, want 10", len(lines))
	}
	f.now = f.now.Add(time.Second)
	f.WriteLimited(refused("Unknown", "192.0.2.1"))
	if lines := f.read(); len(lines) != 1 {
		t.Errorf("%d lines after a second, want 1", len(lines))
	}
}

func TestAudit_UnknownSourceIsLimitedByConnection(t *testing.T) {
	f := newFixture(t)
	line := audit.Line{Event: audit.CredentialRefused, Endpoint: "verify", Verdict: "Unknown"}
	for _, peer := range []string{"192.0.2.1", "192.0.2.2"} {
		line.Peer = netip.MustParseAddr(peer)
		for range 100 {
			f.WriteLimited(line)
		}
	}
	lines := f.read()
	if len(lines) != 20 || lines[0]["peer"] != "192.0.2.1" || lines[19]["peer"] != "192.0.2.2" || lines[0]["source"] != nil {
		t.Errorf("%d lines, want ten of each connection: %v", len(lines), lines)
	}
}

func TestAudit_ManySourcesHaveACommonLimit(t *testing.T) {
	f := newFixture(t)
	for i := range 10000 {
		f.WriteLimited(refused("Unknown", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()))
	}
	if n := len(f.read()); n != 100 {
		t.Errorf("%d lines, want 100", n)
	}
	f.WriteLimited(refused("Expired", "192.0.2.1"))
	if n := len(f.read()); n != 1 {
		t.Error("a flood with one verdict hides another verdict")
	}
}

func TestAudit_HolderHasALineAMinuteForEachVerdict(t *testing.T) {
	f := newFixture(t)
	forbidden := func(token string) audit.Line {
		line := refused("PermissionMissing", "192.0.2.1")
		line.Token = token
		return line
	}
	for range 1000 {
		f.WriteLimited(forbidden("at-1"))
	}
	f.WriteLimited(forbidden("at-2"))
	if lines := f.read(); len(lines) != 2 || lines[1]["token"] != "at-2" {
		t.Errorf("%d lines, want one of each token", len(lines))
	}
	f.now = f.now.Add(time.Minute)
	f.WriteLimited(forbidden("at-1"))
	if lines := f.read(); len(lines) != 1 || lines[0]["count"] != 1000.0 {
		t.Errorf("%v, want one line that stands for 1000", lines)
	}
}

func TestAudit_RevokedUseIsAlwaysWritten(t *testing.T) {
	f := newFixture(t)
	for i := range 10000 { // each is written, however many there are
		f.WriteLimited(revokedUse(fmt.Sprintf("at-%d", i)))
	}
	if n := len(f.read()); n != 10000 {
		t.Errorf("%d lines, want 10000", n)
	}
	for range 59 {
		f.now = f.now.Add(time.Second)
		f.WriteLimited(revokedUse("at-1"))
	}
	if n := len(f.read()); n != 0 {
		t.Errorf("%d lines within a minute of the first, want none", n)
	}
	f.now = f.now.Add(time.Second)
	f.WriteLimited(revokedUse("at-1"))
	if lines := f.read(); len(lines) != 1 || lines[0]["count"] != 60.0 {
		t.Errorf("%v, want one line that stands for 60", lines)
	}
}

func TestAudit_SummaryCountsSuppressedLines(t *testing.T) {
	f := newFixture(t)
	for range 110 {
		f.WriteLimited(refused("Unknown", "192.0.2.1"))
	}
	for range 3 {
		f.WriteLimited(revokedUse("at-1"))
	}
	f.read()
	f.Flush()
	lines := f.read()
	if len(lines) != 2 || lines[0]["of"] != "credential.refused" || lines[0]["endpoint"] != "verify" || lines[0]["verdict"] != "Unknown" ||
		lines[0]["count"] != 100.0 || lines[1]["of"] != "credential.revoked_use" || lines[1]["count"] != 2.0 {
		t.Errorf("the summary is %v", lines)
	}
	f.Flush()
	if lines := f.read(); len(lines) != 0 {
		t.Errorf("nothing was left out, and the summary is %v", lines)
	}
	f.WriteLimited(refused("Unknown", "192.0.2.1"))
	done := make(chan struct{})
	close(done)
	f.WriteSummaries(done)
	if lines := f.read(); len(lines) != 1 || lines[0]["count"] != 1.0 {
		t.Errorf("the last summary is %v", lines)
	}
}
