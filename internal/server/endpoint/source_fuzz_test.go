package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// The valid token is accepted from 192.0.2.0/24 alone.
func FuzzSource(f *testing.F) {
	w := verifytest.Load(f)
	for _, remote := range []string{"127.0.0.1:1", "192.0.2.5:1", "[::1]:1", "", "@", "[::ffff:127.0.0.1]:1", "[fe80::1%eth0]:1"} {
		for _, said := range []string{"", "192.0.2.5", "192.0.2.5, 127.0.0.1", "192.0.2.5, 198.51.100.1", ",192.0.2.5", "192.0.2.5,", "192.0.2.5:80", "[::ffff:192.0.2.5]:99", "[192.0.2.5]", "192.0.2.5:", ",", "127.0.0.2, ", "::ffff:192.0.2.5", "192.0.2.5%x", "192.0.2.05", "192.0.2.5, ,127.0.0.1,", "192.0.2.5:_x", "[::ffff:192.0.2.5]:_x"} {
			f.Add(remote, said, "")
			f.Add(remote, said, "127.0.0.2")
		}
	}
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		h := servertest.NewFuzzServer(t, w, "192.0.2.0/24")
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = remote
		r.Header["Authorization"], r.Header["X-Forwarded-For"] = []string{"Bearer " + h.ValidToken}, []string{first, second}
		if second == "" {
			r.Header["X-Forwarded-For"] = []string{first}
		}
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, r)
		got := servertest.Response{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
		h.CheckNoToken(got)
		h.ExpectOneOf(got, h.PassedLine(), servertest.RefusedLine)
		if want := isInGoodRange(remote, first, second); (got.Status == http.StatusOK) != want {
			t.Errorf("%d, want good: %t", got.Status, want)
		}
	})
}

// isInGoodRange reports whether the lines of trusted proxies lead to an address in 192.0.2.0/24.
func isInGoodRange(remote string, lines ...string) bool {
	proxies, good := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")
	if peer, err := netip.ParseAddrPort(remote); err != nil || !proxies.Contains(peer.Addr().Unmap()) {
		return false // an untrusted peer sends the header
	}
	if len(lines) == 2 && lines[1] == "" {
		lines = lines[:1] // there is no second header then
	}
	for _, line := range slices.Backward(lines) {
		isEmpty := true
		for _, s := range slices.Backward(strings.Split(line, ",")) {
			if s = strings.Trim(s, " \t"); s == "" {
				continue
			}
			isEmpty = false
			a, err := addressIn(s)
			switch {
			case err != nil:
				return false
			case !proxies.Contains(a):
				return good.Contains(a)
			}
		}
		if isEmpty {
			return false
		}
	}
	return false
}

var obfuscatedPort = regexp.MustCompile(`^(\[[^]]*\]|[^:]*):_[A-Za-z0-9._-]+$`)

// addressIn parses an element of X-Forwarded-For.
func addressIn(s string) (netip.Addr, error) {
	if m := obfuscatedPort.FindStringSubmatch(s); m != nil {
		s = m[1]
	}
	a, err := netip.ParseAddr(s)
	if at, withPort := netip.ParseAddrPort(s); err != nil && withPort == nil {
		a, err = at.Addr(), nil
	}
	if inside, found := strings.CutPrefix(s, "["); err != nil && found && strings.HasSuffix(inside, "]") && strings.Contains(inside, ":") {
		a, err = netip.ParseAddr(strings.TrimSuffix(inside, "]"))
	}
	return a.Unmap().WithZone(""), err
}
