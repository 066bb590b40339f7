package authz_test

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

var bearerScheme = regexp.MustCompile(`^(?i:bearer) +`)

// Whatever the headers and the query are, the valid token passes if it is whole and the only token.
// A request without it never passes.
func FuzzForwardAuth(f *testing.F) {
	w := verifytest.Load(f)
	marked := servertest.UnknownTokenMark(f)
	for _, s := range []string{servertest.TokenPlaceholder, marked, "", servertest.TokenPlaceholder + " ", servertest.TokenPlaceholder + "," + servertest.TokenPlaceholder, marked[:52], strings.Repeat("a", 513)} {
		for _, scheme := range []string{"Bearer ", "bearer   ", "Basic ", "Bearer", ""} {
			f.Add(scheme+s, "", "", "")
			f.Add("", s, scheme+s, "permission=search.query")
			f.Add("Basic YTpi", "", scheme+s, "role=x&client=all&permission="+s)
		}
	}
	f.Add("Bearer "+servertest.TokenPlaceholder, marked, "", "client=beta")
	f.Add("Bearer "+servertest.TokenPlaceholder, "", "", "permission=%zz;"+marked)
	f.Add("Bearer\x00"+servertest.TokenPlaceholder, "\xff\xfe", "Bearer \t"+servertest.TokenPlaceholder, "&&=&permission&client=all&client=beta")
	f.Fuzz(func(t *testing.T, authorization, security, authentication, query string) {
		h := servertest.NewFuzzServer(t, w)
		values := []string{h.Fill(authorization), h.Fill(security), h.Fill(authentication)}
		got := h.Ask(h.Handler(), http.MethodGet, "/verify", h.Fill(query), http.Header{
			"Authorization": values[:1], "X-Security-Token": values[1:2], "Authentication": values[2:],
		}, "")
		h.ExpectOneOf(got, h.PassedLine(), servertest.UnreadableLine, servertest.NoCredentialLine, servertest.PasswordLine, servertest.RefusedLine, servertest.ForbiddenLine)

		var shown []string
		for i, v := range values {
			if text := bearerScheme.ReplaceAllString(v, ""); text != "" && (i == 1 || text != v) {
				if i == 1 {
					text = v
				}
				shown = append(shown, text)
			}
		}
		slices.Sort(shown)
		shown = slices.Compact(shown) // the same token twice is one credential
		_, err := url.ParseQuery(h.Fill(query))
		switch good := slices.Equal(shown, []string{h.ValidToken}); {
		case err != nil && got.Status != http.StatusBadRequest:
			t.Errorf("the query cannot be read, and %d", got.Status)
		case err == nil && !good && got.Status != http.StatusUnauthorized:
			t.Errorf("%q: %d", shown, got.Status)
		case good && query == "" && got.Status != http.StatusOK:
			t.Errorf("the valid token: %d", got.Status)
		}
	})
}

func FuzzTokenReview(f *testing.F) {
	w := verifytest.Load(f)
	marked := servertest.UnknownTokenMark(f)
	for _, s := range []string{servertest.TokenPlaceholder, marked, "", `\u0000`, "\xff\xfe", `a"b`, strings.Repeat("a", 70<<10)} {
		for _, kind := range []string{"TokenReview", "tokenreview", ""} {
			f.Add(`{"kind":"` + kind + `","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + s + `","audiences":["api","api","x"]}}`)
			f.Add(`{"apiVersion":"authentication.k8s.io/v1","KIND":"` + kind + `","spec":{"token":"` + marked + `","Token":"` + s + `"},"spec":null}x`)
		}
	}
	f.Add(strings.Repeat("[", 20000))
	f.Add(`{"metadata":{"creationTimestamp":"` + marked + `"},"status":{"authenticated":true,"user":{"username":"root"}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := servertest.NewFuzzServer(t, w)
		got := h.Ask(h.WebhookHandler(), http.MethodPost, "/tokenreview", "", nil, h.Fill(body))
		if got.Status != http.StatusOK {
			h.ExpectOneOf(got, `400 `+servertest.ErrorHeaders+`{"error":"invalid_request","error_description":"the body is not a TokenReview of authentication.k8s.io/v1"}`,
				`413 `+servertest.ErrorHeaders+`{"error":"invalid_request","error_description":"the TokenReview cannot be read"}`)
			return
		}
		var review authenticationv1.TokenReview
		if err := json.Unmarshal([]byte(got.Body), &review); err != nil || review.Spec.Token != "" || review.Name != "" {
			t.Fatalf("%v: %s", err, got.Body)
		}
		if !strings.Contains(body, servertest.TokenPlaceholder) && (review.Status.Authenticated || review.Status.User.Username != "") {
			t.Errorf("without a valid token: %s", got.Body)
		}
		if other := slices.DeleteFunc(review.Status.Audiences, func(a string) bool { return a == "api" }); len(other) > 0 {
			t.Errorf("audiences of others: %q", other)
		}
	})
}

// The bytes go through the decoder of gRPC. A panic there would end the process.
func FuzzExtAuthz(f *testing.F) {
	w := verifytest.Load(f)
	marked := servertest.UnknownTokenMark(f)
	for _, s := range []string{servertest.TokenPlaceholder, marked, "", "\x00", strings.Repeat("a", 513)} {
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
		h := servertest.NewFuzzServer(t, w)
		filled := h.Fill(string(message))
		got, code := check(h, filled)
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
		case got.GetOkResponse() == nil || got.GetStatus().GetCode() != 0 || !strings.Contains(filled, h.ValidToken):
			t.Errorf("%v", got)
		}
	})
}

// check sends the bytes of a message to the gRPC server.
func check(h *servertest.FuzzServer, message string) (*authv3.CheckResponse, string) {
	h.T.Helper()
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
			h.T.Fatal(err)
		}
	}
	log := h.AuditLog.Text()
	h.AuditLog.Reset()
	for line := range strings.Lines(log) {
		if !servertest.FuzzAuditLine.MatchString(strings.TrimSpace(line)) && !strings.Contains(line, "a context extension") {
			h.T.Errorf("the audit log says %s", line)
		}
	}
	h.CheckNoToken(servertest.Response{Status: w.Code, Header: res.Trailer, Body: got.String()})
	return got, res.Trailer.Get("Grpc-Status")
}
