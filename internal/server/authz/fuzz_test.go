package server_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

const (
	browserHeaders   = "Cache-Control=no-store;Content-Security-Policy=default-src 'none'; frame-ancestors 'none';Content-Type=application/json;"
	nosniffHeader    = "X-Content-Type-Options=nosniff "
	errorHeaders     = browserHeaders + nosniffHeader
	challengeHeaders = browserHeaders + "Www-Authenticate="

	passedLine = `200 Cache-Control=no-store;X-Apptoken-Client=all;X-Apptoken-Kind=Application;X-Apptoken-Permissions=search.*,sec.token.introspect;` +
		`X-Apptoken-Roles=;X-Apptoken-Subject=shop/indexer;X-Apptoken-Token-Id=%s;X-Apptoken-User= `
	unreadable       = `400 ` + errorHeaders + `{"error":"invalid_request","error_description":"the query cannot be read"}`
	noCredentialLine = `401 ` + challengeHeaders + `Bearer realm="apptoken";` + nosniffHeader + `{"error":"unauthorized","error_description":"a token is required"}`
	refusedLine      = `401 ` + challengeHeaders + `Bearer realm="apptoken", error="invalid_token";` + nosniffHeader + `{"error":"invalid_token","error_description":"the token is not accepted"}`
	forbiddenLine    = `403 ` + challengeHeaders + `Bearer realm="apptoken", error="insufficient_scope";` + nosniffHeader + `{"error":"insufficient_scope","error_description":"the token is valid, and lacks what is required here"}`
)

func (h *fuzzFixture) passed() string {
	_, digest, _ := token.DigestOf(h.validToken)
	return fmt.Sprintf(passedLine, digest.RecordName())
}

var bearerScheme = regexp.MustCompile(`^(?i:bearer) +`)

// Whatever the headers and the query are, the valid token passes if it is whole and the only
// credential. A request without it never passes.
func FuzzForwardAuth(f *testing.F) {
	w := verifytest.Load(f)
	marked := unknownTokenMark(f)
	for _, s := range []string{tokenPlaceholder, marked, "", tokenPlaceholder + " ", tokenPlaceholder + "," + tokenPlaceholder, marked[:52], strings.Repeat("a", 513)} {
		for _, scheme := range []string{"Bearer ", "bearer   ", "Basic ", "Bearer", ""} {
			f.Add(scheme+s, "", "", "")
			f.Add("", s, scheme+s, "permission=search.query")
			f.Add("Basic YTpi", "", scheme+s, "role=x&client=all&permission="+s)
		}
	}
	f.Add("Bearer "+tokenPlaceholder, marked, "", "client=beta")
	f.Add("Bearer "+tokenPlaceholder, "", "", "permission=%zz;"+marked)
	f.Add("Bearer\x00"+tokenPlaceholder, "\xff\xfe", "Bearer \t"+tokenPlaceholder, "&&=&permission&client=all&client=beta")
	f.Fuzz(func(t *testing.T, authorization, security, authentication, query string) {
		h := newFuzzFixture(t, w)
		values := []string{h.fill(authorization), h.fill(security), h.fill(authentication)}
		got := h.ask(h.Handler(), http.MethodGet, "/verify", h.fill(query), http.Header{
			"Authorization": values[:1], "X-Security-Token": values[1:2], "Authentication": values[2:],
		}, "")
		h.expectOneOf(got, h.passed(), unreadable, noCredentialLine, refusedLine, forbiddenLine)

		var shown []string
		for i, v := range values {
			if text := bearerScheme.ReplaceAllString(v, ""); text != "" && (i == 1 || text != v) {
				if i == 1 {
					text = v
				}
				shown = append(shown, text)
			}
		}
		_, err := url.ParseQuery(h.fill(query))
		switch good := slices.Equal(shown, []string{h.validToken}); {
		case err != nil && got.status != http.StatusBadRequest:
			t.Errorf("the query cannot be read, and %d", got.status)
		case err == nil && !good && got.status != http.StatusUnauthorized:
			t.Errorf("%q: %d", shown, got.status)
		case good && query == "" && got.status != http.StatusOK:
			t.Errorf("the good token: %d", got.status)
		}
	})
}

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
		h := newFuzzFixture(t, w, "192.0.2.0/24")
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = remote
		r.Header["Authorization"], r.Header["X-Forwarded-For"] = []string{"Bearer " + h.validToken}, []string{first, second}
		if second == "" {
			r.Header["X-Forwarded-For"] = []string{first}
		}
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, r)
		got := httpResponse{w.Code, w.Header(), w.Body.String()}
		h.checkNoToken(got)
		h.expectOneOf(got, h.passed(), refusedLine)
		if want := isInGoodRange(remote, first, second); (got.status == http.StatusOK) != want {
			t.Errorf("%d, want good: %t", got.status, want)
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

// Only a caller with the valid token introspects or revokes, and only the valid token is active.
func FuzzForms(f *testing.F) {
	w := verifytest.Load(f)
	marked := unknownTokenMark(f)
	for _, revoke := range []bool{false, true} {
		for _, s := range []string{tokenPlaceholder, marked, "", "%00", "\xff", url.QueryEscape(tokenPlaceholder), strings.Repeat("a", 9<<10)} {
			f.Add(revoke, urlencoded, "Bearer "+s, "", "", "token="+s)
			f.Add(revoke, urlencoded, "", "all", s, "token="+tokenPlaceholder)
			f.Add(revoke, urlencoded, "", "beta", s, "token="+tokenPlaceholder+"&token_type_hint=x")
			f.Add(revoke, urlencoded, "", "", "", "client_id=all&client_secret="+s+"&token="+s)
			f.Add(revoke, urlencoded+"; charset", "Basic "+s, "%zz", s, "token="+s+"&token="+marked)
			f.Add(revoke, "application/json", "Bearer "+s, "", "", `{"token":"`+s+`"}`)
		}
	}
	f.Fuzz(func(t *testing.T, revoke bool, kind, authorization, user, password, body string) {
		h := newFuzzFixture(t, w)
		authorization, user, password, body = h.fill(authorization), h.fill(user), h.fill(password), h.fill(body)
		if user+password != "" {
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		}
		path, active := "/oauth2/introspect", `"active":true`
		if revoke {
			path, active = "/oauth2/revoke", "{}"
		}
		got := h.ask(h.Handler(), http.MethodPost, path, "", http.Header{"Content-Type": {kind}, "Authorization": {authorization}}, body)
		if !slices.Contains([]int{200, 400, 401, 403, 413, 415}, got.status) || got.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s", responseLine(got))
		}
		values, _ := url.ParseQuery(body)
		secret, _ := url.QueryUnescape(password)
		asker := strings.Contains(authorization, h.validToken) || user != "" && secret == h.validToken || values.Get("client_secret") == h.validToken
		if got.status == http.StatusOK && !revoke && !asker {
			t.Errorf("an unauthenticated caller gets %s", got.body)
		}
		meant := slices.Equal(values["token"], []string{h.validToken})
		if got.status == http.StatusOK && strings.Contains(got.body, active) && !meant && !revoke {
			t.Errorf("%q is active", values["token"])
		}
		if len(h.store.records) == 0 && !meant {
			t.Errorf("%q ended another token", values["token"])
		}
	})
}

func FuzzTokenReview(f *testing.F) {
	w := verifytest.Load(f)
	marked := unknownTokenMark(f)
	for _, s := range []string{tokenPlaceholder, marked, "", `\u0000`, "\xff\xfe", `a"b`, strings.Repeat("a", 70<<10)} {
		for _, kind := range []string{"TokenReview", "tokenreview", ""} {
			f.Add(`{"kind":"` + kind + `","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + s + `","audiences":["api","api","x"]}}`)
			f.Add(`{"apiVersion":"authentication.k8s.io/v1","KIND":"` + kind + `","spec":{"token":"` + marked + `","Token":"` + s + `"},"spec":null}x`)
		}
	}
	f.Add(strings.Repeat("[", 20000))
	f.Add(`{"metadata":{"creationTimestamp":"` + marked + `"},"status":{"authenticated":true,"user":{"username":"root"}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := newFuzzFixture(t, w)
		got := h.ask(h.WebhookHandler(), http.MethodPost, "/tokenreview", "", nil, h.fill(body))
		if got.status != http.StatusOK {
			h.expectOneOf(got, `400 `+errorHeaders+`{"error":"invalid_request","error_description":"the body is not a TokenReview of authentication.k8s.io/v1"}`,
				`413 `+errorHeaders+`{"error":"invalid_request","error_description":"the TokenReview cannot be read"}`)
			return
		}
		var review authenticationv1.TokenReview
		if err := json.Unmarshal([]byte(got.body), &review); err != nil || review.Spec.Token != "" || review.Name != "" {
			t.Fatalf("%v: %s", err, got.body)
		}
		if !strings.Contains(body, tokenPlaceholder) && (review.Status.Authenticated || review.Status.User.Username != "") {
			t.Errorf("without a good token: %s", got.body)
		}
		if other := slices.DeleteFunc(review.Status.Audiences, func(a string) bool { return a == "api" }); len(other) > 0 {
			t.Errorf("audiences of others: %q", other)
		}
	})
}

// The bytes go through the decoder of gRPC. A panic there would end the process.
func FuzzExtAuthz(f *testing.F) {
	w := verifytest.Load(f)
	marked := unknownTokenMark(f)
	for _, s := range []string{tokenPlaceholder, marked, "", "\x00", strings.Repeat("a", 513)} {
		for _, extensions := range []map[string]string{nil, {"apptoken.permission": "search.query, x"}, {"apptoken.client": "all", "apptoken.credential": "remove"}} {
			seed, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
				Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "192.0.2.5"}}}},
				Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
					Headers:   map[string]string{"authorization": "Bearer " + s, "x-apptoken-user": "root"},
					HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "X-SECURITY-TOKEN", RawValue: []byte(s)}}},
				}},
				ContextExtensions: extensions,
			}})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(seed)
			f.Add(seed[:len(seed)/2])
		}
	}
	f.Add([]byte("\n\x04\"\x02\x12\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		h := newFuzzFixture(t, w)
		filled := h.fill(string(message))
		got, code := h.check(filled)
		if code != "0" {
			if code != "13" && code != "8" { // cannot be decoded, or is too large
				t.Errorf("gRPC status %s", code)
			}
			return
		}
		switch denied := got.GetDeniedResponse(); {
		case denied != nil:
			if s := denied.GetStatus().GetCode(); s != 401 && s != 403 || got.GetStatus().GetCode() == 0 {
				t.Errorf("%v", got)
			}
		case got.GetOkResponse() == nil || got.GetStatus().GetCode() != 0 || !strings.Contains(filled, h.validToken):
			t.Errorf("%v", got)
		}
	})
}

// check sends the bytes of a message to the gRPC server.
func (h *fuzzFixture) check(message string) (*authv3.CheckResponse, string) {
	h.t.Helper()
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	r := httptest.NewRequest(http.MethodPost, "/envoy.service.auth.v3.Authorization/Check", strings.NewReader(string(frame)+message))
	r.ProtoMajor, r.ProtoMinor, r.RemoteAddr = 2, 0, "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/grpc")
	w := httptest.NewRecorder()
	h.GRPC().ServeHTTP(w, r)
	res := w.Result()
	defer res.Body.Close()
	got := &authv3.CheckResponse{}
	if body := w.Body.Bytes(); len(body) >= 5 {
		if err := proto.Unmarshal(body[5:], got); err != nil {
			h.t.Fatal(err)
		}
	}
	log := h.audit.text()
	h.audit.lines = nil
	for line := range strings.Lines(log) {
		if !fuzzAuditLine.MatchString(strings.TrimSpace(line)) && !strings.Contains(line, "a context extension") {
			h.t.Errorf("the audit log says %s", line)
		}
	}
	h.checkNoToken(httpResponse{w.Code, res.Trailer, got.String()})
	return got, res.Trailer.Get("Grpc-Status")
}
