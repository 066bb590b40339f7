package authz_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// Whatever the cookies are, the valid token passes if it is whole and the only token. A request
// without it never passes.
func FuzzForwardAuthCookies(f *testing.F) {
	w := verifytest.Load(f)
	marked := servertest.UnknownTokenMark(f)
	for _, s := range []string{servertest.TokenPlaceholder, marked, "", servertest.TokenPlaceholder + " ", `"` + servertest.TokenPlaceholder + `"`, servertest.TokenPlaceholder + ";" + servertest.TokenPlaceholder, marked[:52], strings.Repeat("a", 513)} {
		for _, name := range []string{servertest.CredentialCookie, servertest.RememberMeCookie, "SESSION=", " a=b; " + servertest.CredentialCookie, ""} {
			f.Add("", name+s)
			f.Add("Bearer "+s, name+s)
		}
	}
	f.Fuzz(func(t *testing.T, authorization, cookies string) {
		h := servertest.NewFuzzServer(t, w)
		authorization, cookies = h.Fill(authorization), h.Fill(cookies)
		got := h.Ask(h.Handler(), http.MethodGet, "/verify", "", http.Header{"Authorization": {authorization}, "Cookie": {cookies}}, "")
		h.ExpectOneOf(got, h.PassedLine(), servertest.NoCredentialLine, servertest.PasswordLine, servertest.RefusedLine)
		inHeader := bearerScheme.MatchString(authorization) && strings.TrimLeft(authorization[len("bearer "):], " ") == h.ValidToken
		inCookie := slices.ContainsFunc(strings.Split(cookies, ";"), func(s string) bool {
			name, value, _ := strings.Cut(strings.Trim(s, " \t"), "=")
			return (name+"=" == servertest.CredentialCookie || name+"=" == servertest.RememberMeCookie) && (value == h.ValidToken || value == `"`+h.ValidToken+`"`)
		})
		if got.Status == http.StatusOK && !inHeader && !inCookie {
			t.Error("passed without the token")
		}
		if got.Status != http.StatusOK && (cookies == servertest.CredentialCookie+h.ValidToken && authorization == "" || inHeader && cookies == "") {
			t.Errorf("the valid token: %d", got.Status)
		}
	})
}
