package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A time-to-live has one spelling. [row 17]
func TestSpectrum_TTLIsDigitsAlone(t *testing.T) {
	h := newLoginServer(t)
	for text, status := range map[string]int{
		"60": 200, "1": 200, "5270400": 200, "5270401": 400, "-1": 400, "-0": 400, "01": 400, "00": 400, "+1": 400, "%2B1": 400, "1.5": 400, "1.0": 400, "1e3": 400, "0x10": 400, "1_000": 400,
		"%201": 400, "1%20": 400, "1%00": 400, "%FF": 400, "%EF%BC%91": 400, "NaN": 400, "Infinity": 400, "null": 400, "60m": 400, marker: 400,
		"9223372036854775807": 400, "9223372036854775808": 400, "153722867280912931": 400, "99999999999999999999999999": 400, strings.Repeat("1", 4000): 400,
		"": 404, "60/": 404, "60/1": 404, "%2F60": 404, ".": 404, "..": 404,
	} {
		for _, path := range []string{sessionPath, openPath} {
			before := h.store.writeCounts()
			got := h.call(http.MethodGet, path+text, basic("alice"))
			if got.status != status || status == 400 && h.read(got)["field"] != "ttlInMinutes" || strings.Contains(got.body, marker) {
				t.Errorf("%s%s: %d %s, want %d", path, text, got.status, got.body, status)
			}
			if got.status != 200 && (h.store.writeCounts() != before || len(got.header.Values("Set-Cookie")) > 0) {
				t.Errorf("%s%s: something was written, or set", path, text)
			}
		}
	}
	h.checkNoSecretInAudit()
}

// [rows 10 and 17]
func TestManage_InvalidBodyIsRefused(t *testing.T) {
	h := newLoginServer(t)
	admin := bearer(h.login("alice"))
	h.appToken("reader")
	before := h.store.writeCounts()
	many := `["` + strings.Repeat(`a","`, 70) + `a"]`
	list := map[string]string{
		`"` + marker + `"`: "", `1`: "", `{}`: "", `[1]`: "", `["a",{"b":1}]`: "", `[["a"]]`: "", `[null]`: "?", `["` + marker + `"]`: "", `[""]`: "", many: "", `["` + strings.Repeat("a", 9000) + `"]`: "",
	}
	// tables holds, by request, member and value, the field in the error if it is another. ? means
	// none.
	tables := map[string]map[string]map[string]string{
		"PUT " + ofAcme + "/new": {
			"roles": list, "permissions": list, "sourceRanges": list,
			"lifetime": {
				`""`: "", `" "`: "", `"0"`: "", `"0s"`: "", `"0h0m"`: "", `"-1h"`: "", `"+1h"`: "", `"1.5h"`: "", `"1ms"`: "", `"1h1ms"`: "", `"10"`: "", `"1d"`: "", `"1 h"`: "", `"forever"`: "", `"never"`: "", `"` + marker + `"`: "",
				`"2562048h"`: "", `"99999999999999999999h"`: "", `"9223372036854775808ns"`: "", `3600`: "", `0`: "", `true`: "", `["1h"]`: "", `{}`: "", `"1h\u0000"`: "", `"２h"`: "",
			},
			"permission": {`["search.query"]`: "?"}, "Roles": {`[]`: "?"}, "name": {`"x"`: "?"}, "state": {`"Active"`: "?"}, marker: {`1`: "?"},
		},
		"PATCH " + ofAcme + "/appreader": {
			"roles": list, "permissions": list, "sourceRanges": list, "state": {`"Revoked"`: "", `"active"`: "", `""`: "", `1`: "", `true`: "", `["Active"]`: "", `"` + marker + `"`: ""}, "lifetime": {`"1h"`: "?"},
		},
		"POST " + ofAcme + "/appreader/clone": {
			"name":  {`""`: "", `" "`: "", `"a/b"`: "", `"-a"`: "", `"a:b"`: "", `"ü"`: "", `"` + strings.Repeat("a", 64) + `"`: "", `1`: "", `null`: "", `["a"]`: "", `"a\u0000"`: "", `"` + marker + ` "`: ""},
			"roles": {`[]`: "?"}, "Name": {`"x"`: "?"},
		},
		"PUT " + ofUser + "/new": {"roles": {`["reader"]`: ""}, "permissions": {`["search.query"]`: ""}},
	}
	for request, members := range tables {
		method, path, _ := strings.Cut(request, " ")
		for member, values := range members {
			for value, field := range values {
				if field == "" {
					field = member
				}
				got := h.call(method, path, admin, jsonBody(`{"`+member+`":`+value+`}`))
				if said := fmt.Sprint(h.read(got)["field"]); got.status != 400 || said != strings.Replace(field, "?", "<nil>", 1) || strings.Contains(got.body, marker) {
					t.Errorf("%s, %s as %s: %d %s", request, member, value[:min(len(value), 60)], got.status, got.body)
				}
				got = h.call(method, path, admin, jsonBody(`{"`+member+`":[],"`+member+`":`+value+`}`))
				if got.status != 400 || strings.Contains(got.body, marker) {
					t.Errorf("%s, %s twice: %d %s", request, member, got.status, got.body)
				}
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Errorf("something was written: %v, before %v", h.store.writeCounts(), before)
	}
	h.checkNoSecretInAudit()
}

func TestManage_InvalidNameIsRefusedOrNotFound(t *testing.T) {
	h := newLoginServer(t)
	admin := bearer(h.login("alice"))
	before := h.store.writeCounts()
	for name, put := range map[string]int{
		"a%20b": 400, "a%00": 400, "%FF": 400, "%C3%BC": 400, "-a": 400, "a%3Ab": 400, "shop:a": 400, "a%5Cb": 400, "a%3Fb": 400, "a;b": 400, "a,b": 400, "%25": 400, strings.Repeat("a", 64): 400, strings.Repeat("a", 5000): 400, marker + "%21": 400,
		"%2F": 404, "a%2fb": 404, "a%2Fclone": 404, "": 404, ".": 404, "..": 404, "%2E%2E": 404, "a/b": 404, "a/clone/b": 404, "/a": 404,
	} {
		for _, at := range []string{ofAcme, ofUser, "/admin-api" + ofAcme} {
			got := h.call(http.MethodPut, at+"/"+name, admin, jsonBody("{}"))
			if got.status != put || put == 404 && got.body != notFoundBody || put == 400 && h.read(got)["field"] != "name" || strings.Contains(got.body, marker) {
				t.Errorf("PUT %s/%s: %d %s, want %d", at, name, got.status, got.body, put)
			}
			for _, call := range []string{"GET ", "DELETE ", "POST /rotate"} {
				method, more, _ := strings.Cut(call, " ")
				if got := h.call(method, at+"/"+name+more, admin); got.status != 404 || got.body != notFoundBody {
					t.Errorf("%s %s/%s: %d %s", method, at, name, got.status, got.body)
				}
			}
		}
	}
	for _, client := range []string{"", ".", "..", "acme%00", "acme%20", "ACME", "acme%2F", "acme%2Fapplication-token", "%FF", marker, strings.Repeat("a", 5000)} {
		for name, by := range map[string]requestOption{"a token": admin, "a name": basic("alice")} {
			got := h.call(http.MethodGet, "/application-tokens/v1/clients/"+client+"/application-token", by)
			if got.status != 404 || got.body != notFoundBody {
				t.Errorf("the client %q, by %s: %d %s", client, name, got.status, got.body)
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	h.checkNoSecretInAudit()
}
