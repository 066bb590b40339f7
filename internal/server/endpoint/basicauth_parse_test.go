package endpoint_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
)

// Programs that know no charset send Latin-1. The text has one reading, and so one check.
func TestBasicAuth_Latin1IsReadOnce(t *testing.T) {
	h := servertest.NewLoginServer(t)
	latin1 := func(text string) string {
		var bytes []byte
		for _, point := range text {
			bytes = append(bytes, byte(point))
		}
		return "Basic " + base64.StdEncoding.EncodeToString(bytes)
	}
	name, word := servertest.Usernames["erin"], servertest.Passwords["erin"]
	for call, parts := range map[string][]servertest.RequestOption{
		"GET " + servertest.PathSessionToken + "5": nil,
		"POST /auth/login":                         {servertest.FormBody("auth_only", "1")},
		"POST " + servertest.PathFormLogin:         {servertest.FormBody()},
		"GET " + servertest.PathUmbrellaTokens:     nil,
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, path, append(parts, servertest.Header("Authorization", latin1(name+":"+word)))...); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", call, got.Status, got.Body)
		}
	}
	wrong := servertest.Header("Authorization", latin1(name+":é"))
	for range 10 { // as many failures as a name may have
		if got := h.Call(http.MethodGet, servertest.PathUmbrellaTokens, wrong); got.Status != http.StatusUnauthorized {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	if got := h.Call(http.MethodGet, servertest.PathUmbrellaTokens, wrong); got.Status != http.StatusTooManyRequests {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	h.CheckNoSecretInAudit()
}

// Where a login is opened, the name and the password are asked for, and a token beside them is
// ignored.
func TestBasicAuth_LoginIgnoresTokenBesideIt(t *testing.T) {
	h := servertest.NewLoginServer(t)
	token, cookie := servertest.SecurityToken(h.UnknownToken()), servertest.Cookies(servertest.RememberMeCookie+h.UnknownToken())
	for call, parts := range map[string][]servertest.RequestOption{
		"GET " + servertest.PathSessionToken + "5": nil, "GET " + servertest.PathOpenToken + "5": nil,
		"POST /auth/login": {servertest.FormBody("auth_only", "1")}, "POST " + servertest.PathFormLogin: {servertest.FormBody()},
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := h.Call(method, path, append(parts, servertest.Basic("alice"), token, cookie)...); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", call, got.Status, got.Body)
		}
	}
}

// A parsed header holds text that was in it, in UTF-8. A token in it is well-formed.
func FuzzParseBasic(f *testing.F) {
	for _, text := range []string{"", ":", "a:b", "a:b:c", "\xff:\xfe", "a:ata_" + strings.Repeat("0", 49), strings.Repeat("a", 1017) + ":b", "a:" + strings.Repeat("b", 1025)} {
		f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte(text)))
		f.Add("integrator   " + base64.StdEncoding.EncodeToString([]byte(text)))
	}
	f.Add("Basic")
	f.Add("Basic \xff")
	f.Add("Bearer YTpi")
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := endpoint.ParseBasic(value)
		if !ok {
			return
		}
		_, encoded, _ := strings.Cut(value, " ")
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
		if err != nil || len(value) > 4<<10 {
			t.Fatalf("%q is accepted", value)
		}
		if username, text, isToken := c.Token(); isToken && (!token.IsWellFormed(text) || !utf8.ValidString(username) || !strings.HasSuffix(string(decoded), ":"+text)) {
			t.Errorf("%q, %q of %q", username, text, decoded)
		}
		if n, ok := c.Password(); ok && (n.Username == "" || !utf8.ValidString(n.Username) || len(n.Username) > 3*endpoint.MaxUsername) {
			t.Errorf("%q of %q", n.Username, decoded)
		}
	})
}
