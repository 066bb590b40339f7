package server_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// Rows 10, 15 and 16.
func TestHostileRequests_AreRefusedAndLeaveNothing(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	secret := s.Tokens["indexer"]
	auth, root := "Authorization: Bearer "+secret, "Authorization: Bearer "+s.Tokens["root"]
	x := "X-Security-Token: "
	cases := map[string]struct {
		request string
		status  int
	}{
		"a token of 513 bytes":                {servertest.GetRequest("/verify", x+strings.Repeat("a", 513)), 401},
		"a token of 513 bytes that begins so": {servertest.GetRequest("/verify", x+secret+strings.Repeat("0", 513-len(secret))), 401},
		"a token of 1 MiB":                    {servertest.GetRequest("/verify", x+strings.Repeat("a", 1<<20)), 431},
		"many headers, one of them good":      {servertest.GetRequest("/verify", auth, strings.Repeat("A: b\r\n", 32<<10)+"B: c"), 431},
		"a path that is not clean":            {servertest.GetRequest("//oauth2/../verify?access_token=" + secret), 404},
		"a path that is not there":            {servertest.GetRequest("/" + secret), 404},
		"no path":                             {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
		"HTTP/1.0 that names no host":         {"GET /.well-known/oauth-authorization-server HTTP/1.0\r\n\r\n", 400},
		"a target that is too long":           {servertest.GetRequest("/verify?"+strings.Repeat("a", 160<<10), auth), 431},
		"two headers with one token":          {servertest.GetRequest("/verify", auth, x+secret), 200},
		"two headers with two tokens":         {servertest.GetRequest("/verify", auth, "Authentication: Bearer "+s.Tokens["ended"]), 401},
		"a good one and an empty one":         {servertest.GetRequest("/verify", auth, x), 200},
		"two in one line":                     {servertest.GetRequest("/verify", auth+", Bearer "+secret), 401},
		"bytes that are no UTF-8":             {servertest.GetRequest("/verify", auth+"\xff\xfe"), 401},
		"NUL behind the token":                {servertest.GetRequest("/verify", auth+"\x00"), 400},
		"a header over two lines":             {servertest.GetRequest("/verify", "Authorization: Bearer\r\n "+secret), 200}, // net/http joins them
		"a space before the colon":            {servertest.GetRequest("/verify", "Authorization : Bearer "+secret), 400},
		"NUL in the query":                    {servertest.GetRequest("/verify?permission=%00", auth), 403},
		"no UTF-8 in the query":               {servertest.GetRequest("/verify?permission=\xff", auth), 403},
		"a semicolon in the query":            {servertest.GetRequest("/verify?permission=search.query;role=x", auth), 400},
		"the token in the query":              {servertest.GetRequest("/verify?access_token=" + secret), 401},
		"HTTP/1.0 with a host":                {"GET /verify HTTP/1.0\r\nHost: x\r\n" + auth + "\r\n\r\n", 200},
		"HTTP/3.0":                            {"GET /verify HTTP/3.0\r\nHost: x\r\n" + auth + "\r\n\r\n", 505},
		"another length and chunks":           {strings.Replace(servertest.ChunkedRequest("/oauth2/revoke", servertest.ContentTypeForm, "token=x"), "\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n", 1), 200}, // chunks win, RFC 9112, section 6.3
		"chunks in chunks":                    {servertest.GetRequest("/verify", "Transfer-Encoding: chunked, chunked", auth), 501},
	}
	for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
		for name, x := range map[string]struct {
			request string
			status  int
		}{
			"a token of 70 KB":           {servertest.PostRequest(path, servertest.ContentTypeForm, "token="+strings.Repeat("a", 70_000), root), 200},
			"a body over the bound":      {servertest.PostRequest(path, servertest.ContentTypeForm, "token="+strings.Repeat("a", 128<<10), root), 413},
			"the same, of no length":     {servertest.ChunkedRequest(path, servertest.ContentTypeForm, "token="+strings.Repeat("a", 128<<10)), 413},
			"much over the bound":        {servertest.ChunkedRequest(path, servertest.ContentTypeForm, "token="+strings.Repeat("a", 1<<20)), 413},
			"a form as text":             {servertest.PostRequest(path, "text/plain", "token="+secret, root), 415},
			"a form as files":            {servertest.PostRequest(path, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n"+"x\r\n--x--", root), 200},
			"a type that cannot be read": {servertest.PostRequest(path, servertest.ContentTypeForm+"; charset", "token="+secret, root), 415},
			"a file for the token":       {servertest.PostRequest(path, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"token\"; filename=\"t\"\r\n\r\n"+secret+"\r\n--x--", root), 400},
			"JSON":                       {servertest.PostRequest(path, "application/json", `{"token":"x"}`, root), 200},
			"JSON of the same twice":     {servertest.PostRequest(path, "application/json", `{"token":"x","token":"x"}`, root), 400},
			"JSON in an array":           {servertest.PostRequest(path, "application/json", `[{"token":"x"}]`, root), 400},
			"JSON of no text":            {servertest.PostRequest(path, "application/json", `{"token":{"token":"x"}}`, root), 400},
			"the token in the address":   {servertest.PostRequest(path+"?token="+secret, servertest.ContentTypeForm, "token=x", root), 400},
			"the secret in the address":  {servertest.PostRequest(path+"?client_secret="+secret, servertest.ContentTypeForm, "token=x", root), 400},
			"two types":                  {servertest.PostRequest(path, "text/plain\r\nContent-Type: "+servertest.ContentTypeForm, "token="+secret, root), 415},
			"no UTF-8 in the token":      {servertest.PostRequest(path, servertest.ContentTypeForm, "token=\xff\xfe", root), 200},
			"NUL in the token":           {servertest.PostRequest(path, servertest.ContentTypeForm, "token="+secret+"%00", root), 200},
			"the same token twice":       {servertest.PostRequest(path, servertest.ContentTypeForm, "token="+secret+"&token="+secret, root), 400},
			"a caller that presents two": {servertest.PostRequest(path, servertest.ContentTypeForm, "token=x", root, "X-Security-Token: "+secret), 401},
			"a name that is no name":     {servertest.PostRequest(path, servertest.ContentTypeForm, "token=x", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("%zz:"+secret))), 401},
			"Basic that is not":          {servertest.PostRequest(path, servertest.ContentTypeForm, "token="+secret+"&client_id=x&client_secret=y", "Authorization: Basic \xff"), 401},
		} {
			cases[name+" at "+path] = x
		}
	}
	for name, x := range cases {
		if got, wire := s.Send(x.request, false); got.Status != x.status {
			t.Errorf("%s: %d, want %d: %q", name, got.Status, x.status, wire)
		}
	}
	s.CheckNoLeak("the log", s.AuditLog.Text())
}

func TestHostileRequests_TruncatedRequestIsAnsweredOrClosed(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	good := "Authorization: Bearer " + s.Tokens["indexer"]
	whole := servertest.GetRequest("/verify", good)
	form := servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token="+s.Tokens["indexer"], "Authorization: Bearer "+s.Tokens["root"])
	review := servertest.PostRequest("/tokenreview", "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"`+s.Tokens["indexer"]+`"}}`)
	for name, x := range map[string]struct {
		request string
		whole   bool
	}{
		"a request": {whole, true}, "a form": {form, true}, "a review": {review, true},
		"nothing": {"", false}, "half a line": {whole[:6], false}, "half a header": {whole[:len(whole)-9], false},
		"no empty line": {whole[:len(whole)-2], false}, "half a form": {form[:len(form)-9], false}, "half a review": {review[:len(review)-9], false},
		"half of HTTP/2": {"PRI * HTTP/2.0\r\n\r\nSM", false},
	} {
		got, wire := s.Send(x.request, true)
		if x.whole && got.Status != http.StatusOK || !x.whole && got.Status != 0 && (got.Status < 400 || got.Status > 499) {
			t.Errorf("%s: %q", name, wire)
		}
	}
	s.CheckNoLeak("the log", s.AuditLog.Text())
}

func TestHostileRequests_SlowSenderIsDisconnected(t *testing.T) { // [row 16]
	s := servertest.NewListenerServer(t, withShortTimeouts)
	for name, beginning := range map[string]string{
		"headers": "GET /verify HTTP/1.1\r\nHost: x\r\n",
		"a body":  "POST /oauth2/revoke HTTP/1.1\r\nHost: x\r\nContent-Type: " + servertest.ContentTypeForm + "\r\nContent-Length: 8000\r\n\r\ntoken=",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			go func() {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				_, err := io.WriteString(conn, beginning)
				for ; err == nil; <-tick.C {
					_, err = io.WriteString(conn, "A: b\r\n")
				}
			}()
			wire, err := io.ReadAll(conn)
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || strings.Contains(string(wire), " 200 ") {
				t.Errorf("it is still there: %q, %v", wire, err)
			}
		})
	}
}

// Callers must not learn what is wrong with a credential: the refusals of an endpoint are equal,
// byte for byte.
func TestVerify_RefusalsAreIdentical(t *testing.T) {
	world := servertest.NewVectorServer(t)
	good := world.Tokens["indexer"]
	wrong := []string{
		"x", good[:52], good + "0", strings.ToUpper(good), good[:52] + "-", "a\xffb", strings.Repeat("a", 512), strings.Repeat("a", 513),
		good + strings.Repeat("0", 460), strings.Repeat("a", 6<<10), "at-" + strings.Repeat("0", 32),
	}
	for _, name := range []string{"unlisted", "ended", "ends", "overlapover", "suspended", "stopped", "unowned", "killed", "orphan", "unclaimed", "ranged", "unreadable", "nearby", "loginkind", "userbob", "loginbefore", "loginbob", "idleover", "session", "sessionanywhere", "sessionidle"} {
		wrong = append(wrong, world.Tokens[name])
	}
	basic := func(s string) string { return base64.StdEncoding.EncodeToString([]byte("acme:" + url.QueryEscape(s))) }
	for name, write := range map[string]func(credential string) string{
		"/verify, Authorization": func(s string) string {
			return servertest.GetRequest("/verify?permission=search.query", "Authorization: Bearer "+s)
		},
		"/verify, X-Security-Token": func(s string) string { return servertest.GetRequest("/verify", "X-Security-Token: "+s) },
		"/verify, Authentication":   func(s string) string { return servertest.GetRequest("/verify", "Authentication: bearer "+s) },
		"/verify, a cookie": func(s string) string {
			return servertest.GetRequest("/verify", "Cookie: spectrum.authentication.token="+s)
		},
		"introspection by it": func(s string) string {
			return servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token="+good, "Authorization: Bearer "+s)
		},
		"introspection by it, Basic": func(s string) string {
			return servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token="+good, "Authorization: Basic "+basic(s))
		},
		"introspection by its secret": func(s string) string {
			return servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token="+good+"&client_id=acme&client_secret="+url.QueryEscape(s))
		},
		"introspection of it": func(s string) string {
			return servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token="+url.QueryEscape(s), "Authorization: Bearer "+world.Tokens["root"])
		},
		"revocation by it": func(s string) string {
			return servertest.PostRequest("/oauth2/revoke", servertest.ContentTypeForm, "token="+good, "Authorization: Bearer "+s)
		},
		"revocation of it": func(s string) string {
			return servertest.PostRequest("/oauth2/revoke", servertest.ContentTypeForm, "token="+url.QueryEscape(s))
		},
		"a review": func(s string) string {
			return servertest.PostRequest("/tokenreview", "application/json", servertest.ReviewOf(`"token":"`+s+`"`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := servertest.NewListenerServer(t, withShortTimeouts)
			first, want := s.Send(write(wrong[0]), false)
			if first.Status != http.StatusUnauthorized && !strings.Contains(first.Body, "false") && !strings.HasPrefix(name, "rev") && !strings.HasPrefix(name, "a rev") {
				t.Errorf("%q", want)
			}
			for i, credential := range wrong {
				if name == "introspection of it" && credential == world.Tokens["ranged"] {
					continue
				}
				if _, wire := s.Send(write(credential), false); wire != want {
					t.Errorf("number %d is answered %q, the first %q", i, wire, want)
				}
			}
			s.CheckNoLeak("the log", s.AuditLog.Text())
		})
	}
	client := servertest.NewListenerServer(t, withShortTimeouts).DialExtAuthz()
	var want []byte
	for i, credential := range wrong {
		got, err := client.Check(t.Context(), servertest.CheckRequestWith(map[string]string{"authorization": "Bearer " + strings.ToValidUTF8(credential, "?")}))
		wire, _ := proto.MarshalOptions{Deterministic: true}.Marshal(got)
		if want == nil {
			want = wire
		}
		if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != http.StatusUnauthorized || !slices.Equal(wire, want) {
			t.Errorf("ext_authz answers number %d %v, %v", i, got, err)
		}
	}
}

// The last of two equal keys counts, whatever its case. That holds each time and for every caller.
func TestTokenReview_HostileBodyIsRefusedOrLastKeyWins(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	good, bad := `"`+s.Tokens["indexer"]+`"`, `"`+s.Tokens["ended"]+`"`
	deep := strings.Repeat("[", 10001) + strings.Repeat("]", 10001)
	for name, x := range map[string]struct {
		body   string
		status int
		good   bool
	}{
		"a valid token":                  {servertest.ReviewOf(`"token":` + good), 200, true},
		"a bad one after it":             {servertest.ReviewOf(`"token":` + good + `,"token":` + bad), 200, false},
		"a bad one before it":            {servertest.ReviewOf(`"token":` + bad + `,"token":` + good), 200, true},
		"a bad one after it, elsewhere":  {servertest.ReviewOf(`"token":` + good + `},"Spec":{"TOKEN":` + bad), 200, false},
		"another spec without a token":   {servertest.ReviewOf(`"token":` + good + `},"spec":{"audiences":[]`), 200, true},
		"null after it":                  {servertest.ReviewOf(`"token":` + good + `,"token":null`), 200, true},
		"a status of its own":            {servertest.ReviewOf(`"token":` + bad + `},"status":{"authenticated":true,"user":{"username":"root"}`), 200, false},
		"a number":                       {servertest.ReviewOf(`"token":1`), 400, false},
		"no UTF-8":                       {servertest.ReviewOf("\"token\":\"" + s.Tokens["indexer"] + "\xff\""), 200, false},
		"NUL, escaped":                   {servertest.ReviewOf(`"token":"` + s.Tokens["indexer"] + `\u0000"`), 200, false},
		"deep":                           {deep, 400, false},
		"deep within":                    {servertest.ReviewOf(`"token":` + good + `,"x":` + deep), 400, false},
		"more behind it":                 {servertest.ReviewOf(`"token":`+good) + "x", 400, false},
		"a mark in front":                {"\xef\xbb\xbf" + servertest.ReviewOf(`"token":`+good), 400, false},
		"null":                           {"null", 400, false},
		"a token of 70 KB":               {servertest.ReviewOf(`"token":"` + strings.Repeat("a", 70_000) + `"`), 200, false},
		"a token of 1 MiB":               {servertest.ReviewOf(`"token":"` + strings.Repeat("a", 1<<20) + `"`), 200, false},
		"a valid token, and much beside": {servertest.ReviewOf(`"token":` + good + `,"audiences":["` + strings.Repeat("a", 64<<10) + `"]`), 200, false},
		"too large":                      {servertest.ReviewOf(`"token":"` + strings.Repeat("a", 8<<20) + `"`), 413, false},
	} {
		for _, request := range []string{servertest.PostRequest("/tokenreview", "application/json", x.body), servertest.ChunkedRequest("/tokenreview", "text/plain", x.body)} {
			got, wire := s.Send(request, false)
			if got.Status != x.status || strings.Contains(got.Body, `"authenticated":true`) != x.good || strings.Contains(got.Body, `"username":"root"`) {
				t.Errorf("%s: %q", name, wire)
			}
		}
	}
	s.CheckNoLeak("the log", s.AuditLog.Text())
}

func TestExtAuthz_HostileChecksAreRefused(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	client := s.DialExtAuthz()
	good := "Bearer " + s.Tokens["indexer"]
	many := map[string]string{"authorization": good}
	for i := range 10000 {
		many[fmt.Sprintf("h%04d", i)] = ""
	}
	raw := &corev3.HeaderValue{Key: "AUTHORIZATION", RawValue: []byte(good)}
	for name, x := range map[string]struct {
		request *authv3.CheckRequest
		code    codes.Code
		status  int
	}{
		"a name in capitals":       {servertest.CheckRequestWith(map[string]string{"AUTHORIZATION": good}), codes.OK, 0},
		"a name twice":             {servertest.CheckRequestWith(map[string]string{"AUTHORIZATION": good, "authorization": good}), codes.OK, 0},
		"a name twice, two tokens": {servertest.CheckRequestWith(map[string]string{"AUTHORIZATION": good, "authorization": "Bearer " + s.Tokens["both"]}), codes.OK, 401},
		"bytes":                    {servertest.CheckRequestWith(nil, raw), codes.OK, 0},
		"bytes twice":              {servertest.CheckRequestWith(nil, raw, raw), codes.OK, 0},
		"bytes and text":           {servertest.CheckRequestWith(map[string]string{"authorization": good}, raw), codes.OK, 0},
		"bytes that are no UTF-8":  {servertest.CheckRequestWith(nil, &corev3.HeaderValue{Key: "authorization", RawValue: []byte(good + "\xff")}), codes.OK, 401},
		"bytes that contradict":    {servertest.CheckRequestWith(nil, &corev3.HeaderValue{Key: "authorization", Value: good, RawValue: []byte("Bearer x")}), codes.OK, 401},
		"a header without a value": {servertest.CheckRequestWith(nil, &corev3.HeaderValue{Key: "authorization"}, nil), codes.OK, 401},
		"10,000 headers":           {servertest.CheckRequestWith(many), codes.OK, 0},
		"too much":                 {servertest.CheckRequestWith(map[string]string{"authorization": good, "x": strings.Repeat("a", 128<<10)}), codes.ResourceExhausted, 0},
	} {
		got, err := client.Check(t.Context(), x.request)
		if status.Code(err) != x.code || int(got.GetDeniedResponse().GetStatus().GetCode()) != x.status || err == nil && (got.GetOkResponse() == nil) != (x.status != 0) {
			t.Errorf("%s: %v, %v", name, got.GetDeniedResponse(), err)
		}
		s.CheckNoLeak(name, fmt.Sprint(got, err))
	}
	s.CheckNoLeak("the log", s.AuditLog.Text())
}
