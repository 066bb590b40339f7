package tokenapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// Programs and the dashboard of the Squiz DXP name tokens for users to read. Each name reaches its
// token in every spelling that a program may send.
func TestManage_NamesWithSpacesAndSigns(t *testing.T) {
	for _, name := range []string{"my crawler", "alice@example.com", "CI (staging)", "a+b", "acme~nightly report", "clone", "rotate"} {
		h := servertest.NewLoginServer(t)
		alice := servertest.Bearer(h.Login("alice"))
		for _, at := range []string{servertest.PathAcmeTokens, "/admin-api" + servertest.PathUserTokens} {
			escaped := at + "/" + url.PathEscape(name)
			all := at + "/" + strings.NewReplacer("+", "%20", "~", "%7E").Replace(url.QueryEscape(name)) // all that can be escaped is
			created := h.Call(http.MethodPut, escaped, alice, servertest.RawBody("application/json", ""))
			tok := h.TokenIn(created, "data")
			if made, _ := h.Members(created)["applicationToken"].(map[string]any); made["name"] != name {
				t.Errorf("%s: %s", name, created.Body)
			}
			if got := h.Call(http.MethodPut, all, alice); got.Status != http.StatusConflict {
				t.Errorf("%s, created once more: %d %s", name, got.Status, got.Body)
			}
			if got, _ := h.Members(h.Call(http.MethodGet, all, alice))["data"].(map[string]any); got["name"] != name {
				t.Errorf("%s is read as %v", name, got)
			}
			list, _ := h.Members(h.Call(http.MethodGet, at, alice))["data"].([]any)
			if len(list) != 1 || list[0].(map[string]any)["name"] != name {
				t.Errorf("%s is listed as %v", name, list)
			}
			if got := h.Call(http.MethodPatch, all, alice, servertest.JSONBody(`{"state":"Suspended"}`)); got.Status != http.StatusOK || h.IsValid(tok) {
				t.Errorf("%s, suspended: %d %s", name, got.Status, got.Body)
			}
			h.Call(http.MethodPatch, escaped, alice, servertest.JSONBody(`{"state":"Active"}`))
			next := h.TokenIn(h.Call(http.MethodPost, all+"/rotate", alice, servertest.RawBody("application/json", "")), "data")
			own := h.Call(http.MethodPost, escaped+"/rotate", servertest.Bearer(next))
			if last := h.TokenIn(own, "data"); !h.IsValid(last) {
				t.Errorf("%s, rotated by its holder: %s", name, own.Body)
			}
			copied := h.Call(http.MethodPost, all+"/clone", alice, servertest.JSONBody(`{"name":"copy of `+name+`"}`))
			if !h.IsValid(h.TokenIn(copied, "data")) {
				t.Errorf("%s, cloned: %s", name, copied.Body)
			}
			for _, gone := range []string{escaped, at + "/copy%20of%20" + url.PathEscape(name)} {
				if got := h.Call(http.MethodDelete, gone, alice); got.Status != http.StatusOK {
					t.Errorf("%s, deleted: %d %s", gone, got.Status, got.Body)
				}
			}
			if got := h.Call(http.MethodGet, all, alice); got.Status != http.StatusNotFound || h.IsValid(next) {
				t.Errorf("%s, after its deletion: %d %s", name, got.Status, got.Body)
			}
		}
		h.CheckNoSecretInAudit()
	}
}

// Programs send a Content-Type without a body, on requests that have none.
func TestManage_ContentTypeWithoutBodyIsAccepted(t *testing.T) {
	h := servertest.NewLoginServer(t)
	alice := servertest.Bearer(h.Login("alice"))
	for _, kind := range []string{"application/json", "application/json; charset=UTF-8", servertest.ContentTypeForm, "text/plain"} {
		for _, x := range []struct{ method, path string }{
			{"PUT", servertest.PathAcmeTokens + "/new"}, {"GET", servertest.PathAcmeTokens + "/new"}, {"GET", servertest.PathAcmeTokens}, {"POST", servertest.PathAcmeTokens + "/new/rotate"},
			{"PATCH", servertest.PathAcmeTokens + "/new"}, {"DELETE", servertest.PathAcmeTokens + "/new"},
		} {
			if got := h.Call(x.method, x.path, alice, servertest.RawBody(kind, "")); got.Status != http.StatusOK {
				t.Errorf("%s %s with %s: %d %s", x.method, x.path, kind, got.Status, got.Body)
			}
		}
	}
	if got := h.Call(http.MethodGet, servertest.PathAcmeTokens, alice, servertest.RawBody("text/plain", "no JSON")); got.Status != http.StatusOK {
		t.Errorf("a GET with a body: %d %s", got.Status, got.Body)
	}
}
