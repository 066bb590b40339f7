package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

var trustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}

func TestSource_FormsOfXForwardedFor(t *testing.T) {
	for value, want := range map[string]string{
		"192.0.2.5": "192.0.2.5", " 192.0.2.5\t": "192.0.2.5", "192.0.2.5:5678": "192.0.2.5", "192.0.2.5:0": "192.0.2.5", "192.0.2.5:_hidden-1.x": "192.0.2.5",
		"2001:db8::5": "2001:db8::5", "[2001:db8::5]": "2001:db8::5", "[2001:db8::5]:5678": "2001:db8::5", "[2001:db8::5]:_x": "2001:db8::5",
		"::ffff:192.0.2.5": "192.0.2.5", "[::ffff:192.0.2.5]:80": "192.0.2.5", "[fe80::5%eth0]:80": "fe80::5",
		"192.0.2.5,": "192.0.2.5", ",192.0.2.5": "192.0.2.5", "192.0.2.5, ,": "192.0.2.5", " , 192.0.2.5:80 ,, 127.0.0.2 ,": "192.0.2.5",
		"198.51.100.1, , 192.0.2.5": "192.0.2.5", "unknown, 192.0.2.5": "192.0.2.5", "192.0.2.5, [2001:db8:ffff::1]:443": "192.0.2.5",
		"127.0.0.3:1, 127.0.0.2:2": "127.0.0.3",
		"":                         "", ",": "", " , ,": "", "unknown": "", "_hidden": "", "192.0.2.5, unknown": "", "192.0.2.5, _hidden": "", "unknown, 127.0.0.2": "",
		"192.0.2.5:": "", "192.0.2.5:http": "", "192.0.2.5:65536": "", "192.0.2.5:-1": "", "192.0.2.5:+1": "", "192.0.2.5:_": "", "192.0.2.5:_ü": "", "192.0.2.5:1:2": "",
		"[192.0.2.5]": "", "[192.0.2.5]:80": "", "[]": "", "[": "", "[2001:db8::5": "", "2001:db8::5]": "", "[2001:db8::5]80": "", "[2001:db8::5]:": "",
		"[2001:db8::5]:65536": "", ":80": "", "192.0.2.5 198.51.100.1": "", "192.0.2.05": "", "192.0.2": "", `"192.0.2.5"`: "", "for=192.0.2.5": "",
	} {
		if got := sourceOf("127.0.0.1:1234", []string{value}, false); addressText(got) != want {
			t.Errorf("%q: %q, want %q", value, addressText(got), want)
		}
	}
}

// sourceOf returns the source of a request by its lines of X-Forwarded-For or Forwarded. It is zero
// where the source is unknown.
func sourceOf(remote string, lines []string, isForwarded bool) netip.Addr {
	if isForwarded {
		return endpoint.OriginOf(remote, lines, trustedProxies, endpoint.ReadForwarded).Source
	}
	return endpoint.OriginOf(remote, lines, trustedProxies, endpoint.ReadXForwardedFor).Source
}

// addressText returns an address as text, or an empty string if it is unknown.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestSource_FormsOfForwarded(t *testing.T) {
	for value, want := range map[string]string{
		"for=192.0.2.5": "192.0.2.5", "For=192.0.2.5": "192.0.2.5", `for="192.0.2.5"`: "192.0.2.5", `for="192.0.2.5:5678"`: "192.0.2.5", `for="192.0.2.5:_x"`: "192.0.2.5",
		`for="[2001:db8::5]"`: "2001:db8::5", `for="[2001:db8::5]:5678"`: "2001:db8::5", "for=[2001:db8::5]:5678": "2001:db8::5", "for=192.0.2.5:80": "192.0.2.5",
		"for=192.0.2.5;proto=http;by=203.0.113.43": "192.0.2.5", `proto=https; host="a,b;c=d" ; for=192.0.2.5`: "192.0.2.5", `host="a\"b, for=198.51.100.1";for=192.0.2.5`: "192.0.2.5",
		"for=198.51.100.1, for=192.0.2.5": "192.0.2.5", "for=192.0.2.5, for=127.0.0.2": "192.0.2.5", "for=127.0.0.3,for=127.0.0.2": "127.0.0.3",
		`for=192.0.2.5, for="[2001:db8:ffff::1]:443", for=127.0.0.2`: "192.0.2.5", "for=unknown, for=192.0.2.5": "192.0.2.5",
		"for=192.0.2.5,": "192.0.2.5", ",for=192.0.2.5": "192.0.2.5", "for=192.0.2.5, , for=127.0.0.2": "192.0.2.5", ";for=192.0.2.5;": "192.0.2.5",
		"": "", ",": "", ";": "", "for=unknown": "", "for=_hidden": "", "for=192.0.2.5, for=unknown": "", "for=unknown, for=127.0.0.2": "", "proto=https": "",
		"for=192.0.2.5, proto=https": "", "for=192.0.2.5;for=192.0.2.5": "", "for=": "", `for=""`: "", "for": "", "=192.0.2.5": "", "192.0.2.5": "",
		`for="192.0.2.5`: "", `for=192.0.2.5"`: "", `for="192.0.2.5"x`: "", "for=192.0.2.5 x": "", "for =192.0.2.5": "", "for= 192.0.2.5": "",
		// A caller leaves a quote open, so that the address its proxy adds would be inside of it.
		`for=192.0.2.5;x=", for=198.51.100.1`: "", `for=192.0.2.5;x=", for="[2001:db8:1::1]"`: "", `for=192.0.2.5;x="\, for="198.51.100.1"`: "",
	} {
		if got := sourceOf("127.0.0.1:1234", []string{value}, true); addressText(got) != want {
			t.Errorf("%q: %q, want %q", value, addressText(got), want)
		}
	}
	for _, lines := range [][]string{{"for=192.0.2.5", "for=127.0.0.2"}, {"for=198.51.100.1", "for=192.0.2.5"}} {
		if got := sourceOf("127.0.0.1:1234", lines, true); addressText(got) != "192.0.2.5" {
			t.Errorf("%q: %q", lines, addressText(got))
		}
	}
}

func TestSource_IsFoundWithoutAllocation(t *testing.T) {
	for isForwarded, lines := range map[bool][]string{
		false: {"198.51.100.1", "192.0.2.5:5678, [2001:db8:ffff::1]:443"},
		true:  {"for=198.51.100.1", `for="192.0.2.5:5678";proto=https, for="[2001:db8:ffff::1]:443"`},
	} {
		if n := testing.AllocsPerRun(100, func() { sourceOf("127.0.0.1:1234", lines, isForwarded) }); n != 0 {
			t.Errorf("%q: %v allocations", lines, n)
		}
	}
}

// The token in this test is accepted from 192.0.2.0/24 alone. Trusted proxies write one of the two
// headers, and forward what callers write into the other.
func TestSource_OneHeaderIsBelieved(t *testing.T) {
	w := verifytest.Load(t)
	for _, x := range []struct {
		isForwarded        bool
		forwardedFor, text string
		status             int
		why                any
	}{
		{false, "192.0.2.5:5678", "for=198.51.100.1", 200, nil},
		{false, "198.51.100.1", "for=192.0.2.5", 401, nil},
		{false, "", "for=192.0.2.5", 401, "HeaderEmpty"},
		{false, "192.0.2.5, unknown", "", 401, "NotAnAddress"},
		{true, "198.51.100.1", "for=192.0.2.5", 200, nil},
		{true, "192.0.2.5", "for=198.51.100.1", 401, nil},
		{true, "192.0.2.5", "", 401, "HeaderEmpty"},
		{true, "192.0.2.5", `for="192.0.2.5`, 401, "HeaderMalformed"},
		{true, "192.0.2.5", "for=unknown", 401, "NotAnAddress"},
	} {
		h := servertest.NewFuzzServer(t, w, "192.0.2.0/24")
		h.UsesForwarded = x.isForwarded
		got := h.Ask(h.Handler(), http.MethodGet, "/verify", "", http.Header{
			"Authorization": {"Bearer " + h.ValidToken}, "X-Forwarded-For": {x.forwardedFor}, "Forwarded": {x.text},
		}, "")
		lines := h.AuditLog.Events(t, auditlog.CredentialRefused)
		if got.Status != x.status || x.status == 401 && (len(lines) != 1 || lines[0]["sourceUnknown"] != x.why || (lines[0]["source"] == nil) != (x.why != nil)) {
			t.Errorf("%+v: %d, %v", x, got.Status, lines)
		}
	}
}

func TestAudit_NamesReasonOfUnknownSource(t *testing.T) {
	w := verifytest.Load(t)
	for name, x := range map[string]struct {
		remote    string
		forwarded []string
		why       any
	}{
		"a trusted proxy says nothing":      {"127.0.0.1:1", nil, "HeaderMissing"},
		"a trusted proxy sends empty lines": {"127.0.0.1:1", []string{"192.0.2.5", ""}, "HeaderEmpty"},
		"a trusted proxy sends commas":      {"127.0.0.1:1", []string{", ,"}, "HeaderEmpty"},
		"a trusted proxy names none":        {"127.0.0.1:1", []string{"unknown"}, "NotAnAddress"},
		"an untrusted peer sends it":        {"198.51.100.1:1", []string{"192.0.2.5"}, "UntrustedPeer"},
		"a connection that has no address":  {"@", []string{"192.0.2.5"}, "NoPeer"},
		"the address is known, and another": {"127.0.0.1:1", []string{"198.51.100.1"}, nil},
		"an untrusted peer sends no header": {"198.51.100.1:1", nil, nil},
	} {
		h := servertest.NewFuzzServer(t, w, "192.0.2.0/24")
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = x.remote
		r.Header.Set("Authorization", "Bearer "+h.ValidToken)
		if x.forwarded != nil {
			r.Header["X-Forwarded-For"] = x.forwarded
		}
		h.Handler().ServeHTTP(httptest.NewRecorder(), r)
		lines := h.AuditLog.Events(t, auditlog.CredentialRefused)
		if len(lines) != 1 || lines[0]["verdict"] != "SourceRefused" || lines[0]["sourceUnknown"] != x.why {
			t.Errorf("%s: %v", name, lines)
		}
	}
	h := servertest.NewFuzzServer(t, w, "192.0.2.0/24")
	h.Ask(h.WebhookHandler(), http.MethodPost, "/tokenreview", "", http.Header{"X-Forwarded-For": {"192.0.2.5"}}, servertest.ReviewOf(`"token":"`+h.ValidToken+`"`))
	if lines := h.AuditLog.Events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["sourceUnknown"] != "NotStated" {
		t.Errorf("a TokenReview: %v", lines)
	}
}

// The address of a caller that asks about a credential is known, even through a trusted proxy. So
// the lines of a caller that asks too often are not counted with those of others.
func TestAudit_PeerIsWhoAsks(t *testing.T) {
	h := servertest.NewVectorServer(t)
	h.Do(http.MethodPost, "/oauth2/introspect", http.Header{
		"Authorization": {"Bearer " + h.Tokens["root"]}, "X-Forwarded-For": {"203.0.113.7"}, "Content-Type": {"application/x-www-form-urlencoded"},
	}, "token="+h.Tokens["suspended"])
	if lines := h.AuditLog.Events(t, auditlog.CredentialRefused); len(lines) != 1 || lines[0]["peer"] != "203.0.113.7" || lines[0]["sourceUnknown"] != "NotStated" {
		t.Errorf("%v", lines)
	}
}

// A peer that is no trusted proxy cannot name the address of a caller. The header that is not the
// configured one is ignored from any peer.
func TestSource_UntrustedPeerIsNotBelieved(t *testing.T) {
	w := verifytest.Load(t)
	for _, x := range []struct {
		isForwarded bool
		name, value string
		ofPeer      int // status where the token is bound to the address of the peer
	}{
		{false, "X-Forwarded-For", "192.0.2.5", 401},
		{false, "X-Forwarded-For", "192.0.2.5, 127.0.0.2", 401},
		{false, "X-Forwarded-For", "", 401},
		{false, "Forwarded", "for=192.0.2.5", 200},
		{true, "Forwarded", "for=192.0.2.5", 401},
		{true, "Forwarded", "for=192.0.2.5, for=127.0.0.2", 401},
		{true, "Forwarded", "", 401},
		{true, "X-Forwarded-For", "192.0.2.5", 200},
	} {
		for bound, status := range map[string]int{"192.0.2.0/24": 401, "127.0.0.0/8": 401, "198.51.100.0/24": x.ofPeer} {
			h := servertest.NewFuzzServer(t, w, bound)
			h.UsesForwarded = x.isForwarded
			r := httptest.NewRequest(http.MethodGet, "/verify", nil)
			r.RemoteAddr = "198.51.100.1:1234"
			r.Header.Set("Authorization", "Bearer "+h.ValidToken)
			r.Header.Set(x.name, x.value)
			got := httptest.NewRecorder()
			h.Handler().ServeHTTP(got, r)
			if got.Code != status {
				t.Errorf("%+v, a token of %s: %d, want %d", x, bound, got.Code, status)
			}
		}
	}
}

// Whatever a caller writes before it, the address that its proxy adds is found, with or without
// empty elements. In Forwarded the caller can leave a quote open; the address is unknown then.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{
		"", "for=192.0.2.5", `for="192.0.2.5`, `x="\`, "for", "for=", ";", ",", `for="[::1]";x="a;b,c"`, "for=unknown;by=_x", `a="";b=`,
		"127.0.0.2", "127.0.0.2,", " , ,", "192.0.2.5,,", `"192.0.2.5`, "[::1", "unknown", "for=127.0.0.2,", `for=127.0.0.2;x="`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, written string) {
		for _, x := range []struct {
			isForwarded        bool
			added, proxy, want string
		}{
			{false, "198.51.100.1", "127.0.0.2", "198.51.100.1"},
			{false, "[2001:db8:1::1]:80", "[2001:db8:ffff::1]:80", "2001:db8:1::1"},
			{true, "for=198.51.100.1", "for=127.0.0.2", "198.51.100.1"},
			{true, `for="[2001:db8:1::1]:80"`, `for="[2001:db8:ffff::1]:80"`, "2001:db8:1::1"},
		} {
			for _, added := range []string{x.added, x.added + ", " + x.proxy, ", " + x.added + ", , " + x.proxy + ","} {
				got := addressText(sourceOf("127.0.0.1:1", []string{written + ", " + added}, x.isForwarded))
				if got != x.want && (got != "" || !x.isForwarded) {
					t.Errorf("%q and %s: %q", written, added, got)
				}
				if got := addressText(sourceOf("127.0.0.1:1", []string{written, added}, x.isForwarded)); got != x.want {
					t.Errorf("%q, and a line of %s: %q", written, added, got)
				}
			}
		}
	})
}
