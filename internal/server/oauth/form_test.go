package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// Only a caller with the valid token introspects or revokes, and only the valid token is active.
func FuzzForms(f *testing.F) {
	w := verifytest.Load(f)
	marked := servertest.UnknownTokenMark(f)
	for _, revoke := range []bool{false, true} {
		for _, s := range []string{servertest.TokenPlaceholder, marked, "", "%00", "\xff", url.QueryEscape(servertest.TokenPlaceholder), strings.Repeat("a", 9<<10)} {
			f.Add(revoke, servertest.ContentTypeForm, "Bearer "+s, "", "", "token="+s)
			f.Add(revoke, servertest.ContentTypeForm, "", "all", s, "token="+servertest.TokenPlaceholder)
			f.Add(revoke, servertest.ContentTypeForm, "", "beta", s, "token="+servertest.TokenPlaceholder+"&token_type_hint=x")
			f.Add(revoke, servertest.ContentTypeForm, "", "", "", "client_id=all&client_secret="+s+"&token="+s)
			f.Add(revoke, servertest.ContentTypeForm+"; charset", "Basic "+s, "%zz", s, "token="+s+"&token="+marked)
			f.Add(revoke, "application/json", "Bearer "+s, "", "", `{"token":"`+s+`"}`)
		}
	}
	f.Fuzz(func(t *testing.T, revoke bool, kind, authorization, user, password, body string) {
		h := servertest.NewFuzzServer(t, w)
		authorization, user, password, body = h.Fill(authorization), h.Fill(user), h.Fill(password), h.Fill(body)
		if user+password != "" {
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		}
		path, active := "/oauth2/introspect", `"active":true`
		if revoke {
			path, active = "/oauth2/revoke", "{}"
		}
		got := h.Ask(h.Handler(), http.MethodPost, path, "", http.Header{"Content-Type": {kind}, "Authorization": {authorization}}, body)
		if !slices.Contains([]int{200, 400, 401, 403, 413, 415}, got.Status) || got.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s", servertest.ResponseLine(got))
		}
		values, _ := url.ParseQuery(body)
		var object struct {
			Token  string `json:"token"`
			Secret string `json:"client_secret"`
		}
		if json.Unmarshal([]byte(body), &object) == nil && strings.HasPrefix(kind, "application/json") {
			values = url.Values{"token": {object.Token}, "client_secret": {object.Secret}}
		}
		secret, _ := url.QueryUnescape(password)
		asker := strings.Contains(authorization, h.ValidToken) || user != "" && secret == h.ValidToken || values.Get("client_secret") == h.ValidToken
		if got.Status == http.StatusOK && !revoke && !asker {
			t.Errorf("an unauthenticated caller gets %s", got.Body)
		}
		meant := slices.Equal(values["token"], []string{h.ValidToken})
		if got.Status == http.StatusOK && strings.Contains(got.Body, active) && !meant && !revoke {
			t.Errorf("%q is active", values["token"])
		}
		if len(h.Store.Records) == 0 && !meant {
			t.Errorf("%q ended another token", values["token"])
		}
	})
}

func TestOAuthForm_InvalidFormIsRefusedAndNotEchoed(t *testing.T) {
	h := servertest.NewVectorServer(t)
	typed := func(kind string) http.Header {
		return http.Header{"Content-Type": {kind}, "Authorization": {"Bearer " + h.Tokens["root"]}}
	}
	const urlencoded = "application/x-www-form-urlencoded"
	secret := h.Tokens["indexer"]
	for name, x := range map[string]struct {
		method, query string
		header        http.Header
		body          string
		status        int
	}{
		"no token":               {"POST", "", typed(urlencoded), "x=1", 400},
		"an empty token":         {"POST", "", typed(urlencoded), "token=", 400},
		"an empty body":          {"POST", "", typed(urlencoded), "", 400},
		"the token twice":        {"POST", "", typed(urlencoded), "token=" + secret + "&token=" + secret, 400},
		"the token in the query": {"POST", "?token=" + secret, typed(urlencoded), "", 400},
		"a broken escape":        {"POST", "", typed(urlencoded), "token=%zz" + secret, 400},
		"JSON":                   {"POST", "", typed("application/json"), `{"token":"` + secret + `"}`, 200},
		"JSON with it twice":     {"POST", "", typed("application/json"), `{"token":"` + secret + `","token":"` + secret + `"}`, 400},
		"JSON that ends early":   {"POST", "", typed("application/json"), `{"token":"` + secret, 400},
		"a token of 70 KB, JSON": {"POST", "", typed("application/json"), `{"token":"` + strings.Repeat("a", 70_000) + `"}`, 200},
		"no content type":        {"POST", "", http.Header{"Content-Type": {""}}, "token=" + secret, 415},
		"too large":              {"POST", "", typed(urlencoded), "token=" + strings.Repeat("a", 129<<10), 413},
		"a token of 70 KB":       {"POST", "", typed(urlencoded), "token=" + strings.Repeat("a", 70_000), 200},
		"GET":                    {"GET", "?token=" + secret, typed(urlencoded), "", 405},
		"a charset is no harm":   {"POST", "", typed(urlencoded + "; charset=UTF-8"), "token=" + secret, 200},
		"an unknown hint":        {"POST", "", typed(urlencoded), "token_type_hint=x&token=" + secret, 200},
	} {
		for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
			if x.status == 200 && path == "/oauth2/revoke" {
				continue
			}
			got := h.Do(x.method, path+x.query, x.header, x.body)
			if got.Status != x.status {
				t.Errorf("%s at %s: %d %s", name, path, got.Status, got.Body)
			}
			h.CheckNoLeak(name, got.Body)
		}
	}
	h.CheckNoLeak("the audit log", h.AuditLog.Text())
}
