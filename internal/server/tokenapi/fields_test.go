package tokenapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// [rows 10 and 17]
func TestManage_InvalidBodyIsRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := servertest.Bearer(h.Login("alice"))
	h.AppToken("reader")
	before := h.Store.WriteCounts()
	many := `["` + strings.Repeat(`a","`, 70) + `a"]`
	list := map[string]string{
		`"` + servertest.PasswordMark + `"`: "", `1`: "", `{}`: "", `[1]`: "", `["a",{"b":1}]`: "", `[["a"]]`: "", `[null]`: "?", `["` + servertest.PasswordMark + `"]`: "", `[""]`: "", many: "", `["` + strings.Repeat("a", 9000) + `"]`: "",
	}
	// tables holds, by request, member and value, the field in the error if it is another. ? means
	// none.
	tables := map[string]map[string]map[string]string{
		"PUT " + servertest.PathAcmeTokens + "/new": {
			"roles": list, "permissions": list, "sourceRanges": list,
			"lifetime": {
				`""`: "", `" "`: "", `"0"`: "", `"0s"`: "", `"0h0m"`: "", `"-1h"`: "", `"+1h"`: "", `"1.5h"`: "", `"1ms"`: "", `"1h1ms"`: "", `"10"`: "", `"1d"`: "", `"1 h"`: "", `"forever"`: "", `"never"`: "", `"` + servertest.PasswordMark + `"`: "",
				`"2562048h"`: "", `"99999999999999999999h"`: "", `"9223372036854775808ns"`: "", `3600`: "", `0`: "", `true`: "", `["1h"]`: "", `{}`: "", `"1h\u0000"`: "", `"２h"`: "",
			},
			"permission": {`["search.query"]`: "?"}, "Roles": {`[]`: "?"}, "name": {`"x"`: "?"}, "state": {`"Active"`: "?"}, servertest.PasswordMark: {`1`: "?"},
		},
		"PATCH " + servertest.PathAcmeTokens + "/appreader": {
			"roles": list, "permissions": list, "sourceRanges": list, "state": {`"Revoked"`: "", `"active"`: "", `""`: "", `1`: "", `true`: "", `["Active"]`: "", `"` + servertest.PasswordMark + `"`: ""}, "lifetime": {`"1h"`: "?"},
		},
		"POST " + servertest.PathAcmeTokens + "/appreader/clone": {
			"name":  {`""`: "", `" "`: "", `"a/b"`: "", `"-a"`: "", `"a:b"`: "", `"ü"`: "", `"` + strings.Repeat("a", 64) + `"`: "", `1`: "", `null`: "", `["a"]`: "", `"a\u0000"`: "", `"` + servertest.PasswordMark + ` "`: ""},
			"roles": {`[]`: "?"}, "Name": {`"x"`: "?"},
		},
		"PUT " + servertest.PathUserTokens + "/new": {"roles": {`["reader"]`: ""}, "permissions": {`["search.query"]`: ""}},
	}
	for request, members := range tables {
		method, path, _ := strings.Cut(request, " ")
		for member, values := range members {
			for value, field := range values {
				if field == "" {
					field = member
				}
				got := h.Call(method, path, admin, servertest.JSONBody(`{"`+member+`":`+value+`}`))
				if said := fmt.Sprint(h.Members(got)["field"]); got.Status != 400 || said != strings.Replace(field, "?", "<nil>", 1) || strings.Contains(got.Body, servertest.PasswordMark) {
					t.Errorf("%s, %s as %s: %d %s", request, member, value[:min(len(value), 60)], got.Status, got.Body)
				}
				got = h.Call(method, path, admin, servertest.JSONBody(`{"`+member+`":[],"`+member+`":`+value+`}`))
				if got.Status != 400 || strings.Contains(got.Body, servertest.PasswordMark) {
					t.Errorf("%s, %s twice: %d %s", request, member, got.Status, got.Body)
				}
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Errorf("something was written: %v, before %v", h.Store.WriteCounts(), before)
	}
	h.CheckNoSecretInAudit()
}

func TestManage_InvalidNameIsRefusedOrNotFound(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := servertest.Bearer(h.Login("alice"))
	before := h.Store.WriteCounts()
	for name, put := range map[string]int{
		"a%20%20b": 400, "a%20": 400, "%20a": 400, "%40a": 400, "a%09b": 400, "a%C2%A0b": 400, "a%2520b": 400, "a%00": 400, "%FF": 400, "%C3%BC": 400, "-a": 400, "a%3Ab": 400, "shop:a": 400, "a%5Cb": 400, "a%3Fb": 400, "a;b": 400, "a,b": 400, "%25": 400, strings.Repeat("a", 64): 400, strings.Repeat("a", 5000): 400, servertest.PasswordMark + "%21": 400,
		"%2F": 404, "a%2fb": 404, "a%2Fclone": 404, "": 404, ".": 404, "..": 404, "%2E%2E": 404, "a/b": 404, "a/clone/b": 404, "/a": 404,
	} {
		for _, at := range []string{servertest.PathAcmeTokens, servertest.PathUserTokens, "/admin-api" + servertest.PathAcmeTokens} {
			got := h.Call(http.MethodPut, at+"/"+name, admin, servertest.JSONBody("{}"))
			if got.Status != put || put == 404 && got.Body != servertest.EnvelopeNotFoundBody || put == 400 && h.Members(got)["field"] != "name" || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("PUT %s/%s: %d %s, want %d", at, name, got.Status, got.Body, put)
			}
			for _, call := range []string{"GET ", "DELETE ", "POST /rotate"} {
				method, more, _ := strings.Cut(call, " ")
				if got := h.Call(method, at+"/"+name+more, admin); got.Status != 404 || got.Body != servertest.EnvelopeNotFoundBody {
					t.Errorf("%s %s/%s: %d %s", method, at, name, got.Status, got.Body)
				}
			}
		}
	}
	for _, client := range []string{"", ".", "..", "acme%00", "acme%20", "ACME", "acme%2F", "acme%2Fapplication-token", "%FF", servertest.PasswordMark, strings.Repeat("a", 5000)} {
		for name, by := range map[string]servertest.RequestOption{"a token": admin, "a name": servertest.Basic("alice")} {
			got := h.Call(http.MethodGet, "/application-tokens/v1/clients/"+client+"/application-token", by)
			if got.Status != 404 || got.Body != servertest.EnvelopeNotFoundBody {
				t.Errorf("the client %q, by %s: %d %s", client, name, got.Status, got.Body)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Error("something was written")
	}
	h.CheckNoSecretInAudit()
}
