package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// field is a field of a protocol, with a valid value and its kind.
type field struct {
	name, good string
	kind       string // text, secret, number or flag
	optional   bool
}

// loginRequests returns requests whose fields the tests spoil one by one. Unspoiled, they log in.
func (h *loginFixture) loginRequests() map[string]struct {
	path   string
	by     requestOption
	fields []field
} {
	username, secret := field{"username", usernames["dave"], "secret", false}, field{"password", passwords["dave"], "secret", false}
	account := field{"account_id", "1001", "number", true}
	type protocol = struct {
		path   string
		by     requestOption
		fields []field
	}
	return map[string]protocol{
		"Funnelback":           {formLogin, nil, []field{username, secret, account, {"remember-me", "true", "flag", true}}},
		"TeleTracker":          {"/auth/login", nil, []field{username, secret, account, {"auth_only", "0", "flag", true}}},
		"TeleTracker, refresh": {"/auth/refresh", nil, []field{{"refresh_token", marker, "secret", false}}},
		"TeleTracker, another": {"/auth/masquerade", bearer(h.login("dave")), []field{{"account_id", "1001", "number", false}}},
		"OAuth":                {"/oauth2/token", nil, []field{{"grant_type", "password", "text", false}, username, secret, account}},
		"OAuth, refresh":       {"/oauth2/token", nil, []field{{"grant_type", "refresh_token", "text", false}, {"refresh_token", marker, "secret", false}}},
	}
}

// invalidValues holds invalid values by the kind of the field. Where the key has a star, an error
// cannot name the field in every encoding.
var invalidValues = map[string]map[string]string{
	"text":   {"empty": "", "too long": strings.Repeat(marker, 1500), "not UTF-8*": marker + "\xff", "NUL*": marker + "\x00"},
	"secret": {"empty": "", "too long": strings.Repeat(marker, 1500), "not UTF-8*": marker + "\xff", "NUL*": marker + "\x00"},
	"number": {
		"empty": "", "a word": marker, "negative": "-1001", "zero": "0", "a fraction": "1001.5", "a zero before it": "01001", "a plus before it": "+1001",
		"a space before it": " 1001", "an exponent": "1e3", "in hexadecimal": "0x3e9", "too large": "9007199254740992", "larger than a machine's": "99999999999999999999",
		"digits of others": "１００１", "of another user": "3003", "that is not there": "9999", "not UTF-8*": "1\xff", "NUL*": "1\x00", "too long": strings.Repeat("1", 9000),
	},
	"flag": {"empty": "", "a word": marker, "a number": "2", "negative": "-1", "a space before it": " true", "not UTF-8*": "true\xff", "NUL*": "true\x00"},
}

// wronglyTypedValues holds JSON values of the wrong type, by the kind of the field.
var wronglyTypedValues = map[string][]string{
	"text":   {"1", "true", "[]", "{}", `["` + marker + `"]`, `{"` + marker + `":1}`, "null", `"\ud800"`, strings.Repeat("[", 9) + strings.Repeat("]", 9), "1" + strings.Repeat("0", 9000)},
	"secret": {"1", "true", "[]", "{}", `["` + marker + `"]`, `{"` + marker + `":1}`, "null", `"\ud800"`, strings.Repeat("[", 9) + strings.Repeat("]", 9)},
	"number": {"true", "[]", "{}", "[1001]", "1001.0", "1e3", "-0", "1E400", "99999999999999999999", `"` + marker + `"`},
	"flag":   {"[]", "{}", "2", "1.0", `"` + marker + `"`, "[true]"},
}

// encodeFields returns a body with fields in an encoding.
func encodeFields(encoding string, pairs []string) requestOption {
	switch encoding {
	case "form":
		return formBody(pairs...)
	case "parts":
		return multipartBody(pairs...)
	}
	var text []string
	for i := 0; i < len(pairs); i += 2 {
		value, _ := json.Marshal(pairs[i+1])
		if strings.Contains(pairs[i+1], "\xff") { // Marshal would replace it
			value = []byte(`"` + pairs[i+1] + `"`)
		}
		text = append(text, `"`+pairs[i]+`":`+string(value))
	}
	return jsonBody("{" + strings.Join(text, ",") + "}")
}

// [rows 10 and 17]
func TestLoginFields_InvalidFieldIsNamedAndNotEchoed(t *testing.T) {
	h := newLoginServer(t)
	all := h.loginRequests()
	before, tries := h.store.writeCounts(), 0
	for name, p := range all {
		try := func(what, field string, mayBeNameless bool, parts ...requestOption) {
			t.Helper()
			tries++
			if p.by != nil {
				parts = append(parts, p.by)
			}
			got := h.call(http.MethodPost, p.path, append(parts, withForwardedFor(fmt.Sprintf("198.51.%d.%d", tries>>8, tries&255)))...)
			said := h.read(got)
			named := said["field"] == field || said["field"] == nil && mayBeNameless
			if got.status != 400 || said["error"] != "invalid_request" || !named || strings.Contains(got.body, marker) {
				t.Errorf("%s, %s %s: %d %s", name, field, what, got.status, got.body)
			}
		}
		for i, f := range p.fields {
			var others, whole []string
			for j, o := range p.fields {
				whole = append(whole, o.name, o.good)
				if i != j && (!o.optional || f.optional && j < i) {
					others = append(others, o.name, o.good)
				}
			}
			for _, encoding := range []string{"form", "parts", "JSON"} {
				if !f.optional {
					try("missing in "+encoding, f.name, false, encodeFields(encoding, others))
				}
				try("twice in "+encoding, f.name, false, encodeFields(encoding, append(slices.Clone(whole), f.name, f.good)))
				try("in the query and in "+encoding, f.name, false, encodeFields(encoding, whole), queryString(f.name+"=x"))
				for what, value := range invalidValues[f.kind] {
					mayBeNameless := strings.HasSuffix(what, "*") && encoding != "form"
					if f.name == "grant_type" && strings.HasPrefix(value, marker) && what == "too long" {
						mayBeNameless = false
					}
					try(what+" in "+encoding, f.name, mayBeNameless, encodeFields(encoding, append(slices.Clone(others), f.name, value)))
				}
			}
			for _, value := range wronglyTypedValues[f.kind] {
				rest, _ := json.Marshal(map[string]string(fieldMap(others)))
				text := strings.TrimSuffix(string(rest), "}") + `,"` + f.name + `":` + value + "}"
				try("of the type of "+value[:min(len(value), 20)], f.name, strings.Contains(value, `\ud800`), jsonBody(strings.Replace(text, "{,", "{", 1)))
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Errorf("something was written: %v, before %v", h.store.writeCounts(), before)
	}
	if tries < 400 {
		t.Errorf("no more than %d were tried", tries)
	}
	h.checkNoSecretInAudit()
}

func fieldMap(list []string) map[string]string {
	all := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		all[list[i]] = list[i+1]
	}
	return all
}

func TestLoginFields_InvalidBodyIsRefused(t *testing.T) {
	h := newLoginServer(t)
	admin := bearer(h.login("alice"))
	h.appToken("reader")
	before := h.store.writeCounts()
	whole := `{"username":"dave","password":"` + marker + `"}`
	deep := `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	requests := map[string]string{
		formLogin: "POST", "/auth/login": "POST", "/auth/refresh": "POST", "/auth/masquerade": "POST", "/oauth2/token": "POST",
		ofAcme + "/new": "PUT", ofAcme + "/appreader": "PATCH", ofAcme + "/appreader/clone": "POST", ofUser + "/new": "PUT",
	}
	for path, method := range requests {
		for name, x := range map[string]struct {
			body   requestOption
			status int
		}{
			"a form that says it is JSON":      {rawBody("application/json", "username="+marker), 400},
			"JSON that says it is a form":      {rawBody(urlencoded, whole), 400},
			"JSON that says it is in parts":    {rawBody("multipart/form-data; boundary=x", whole), 400},
			"parts without a boundary":         {rawBody("multipart/form-data", whole), 415},
			"parts with a file":                {rawBody("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"password\"; filename=\"x\"\r\n\r\n"+marker+"\r\n--x--"), 400},
			"JSON that is too deep":            {jsonBody(deep[:8<<10]), 400},
			"JSON that is deep and too large":  {jsonBody(deep), 413},
			"an array":                         {jsonBody("[" + whole + "]"), 400},
			"a text":                           {jsonBody(`"` + marker + `"`), 400},
			"null":                             {jsonBody("null"), 400},
			"an object that does not end":      {jsonBody(whole[:len(whole)-1]), 400},
			"more behind it":                   {jsonBody(whole + whole), 400},
			"a mark in front":                  {jsonBody("\xef\xbb\xbf" + whole), 400},
			"no UTF-8":                         {jsonBody("{\"\xff\":1}"), 400},
			"a body of 10 MB":                  {jsonBody(`{"x":"` + strings.Repeat("a", 10<<20) + `"}`), 413},
			"a form of 10 MB":                  {rawBody(urlencoded, "x="+strings.Repeat("a", 10<<20)), 413},
			"an unknown type":                  {rawBody("application/xml", "<x>"+marker+"</x>"), 415},
			"a type that cannot be read":       {rawBody("application/json; charset", whole), 415},
			"another charset":                  {rawBody("application/json; charset=utf-16", whole), 415},
			"no type":                          {rawBody("", whole), 415},
			"two types":                        {combined(jsonBody(whole), header("Content-Type", urlencoded)), 415},
			"a compressed body":                {combined(jsonBody(whole), header("Content-Encoding", "gzip")), 415},
			"a form with an escape that is no": {rawBody(urlencoded, "password=%zz"+marker), 400},
			"too many fields":                  {jsonBody("{" + strings.TrimSuffix(strings.Repeat(`"a`+`":1,`, 70), ",") + "}"), 400},
		} {
			got := h.call(method, path, x.body, admin)
			if got.status != x.status || h.read(got)["error"] != "invalid_request" || strings.Contains(got.body, marker) {
				t.Errorf("%s at %s: %d %s, want %d", name, path, got.status, got.body, x.status)
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Errorf("something was written: %v, before %v", h.store.writeCounts(), before)
	}
	h.checkNoSecretInAudit()
}

func TestRoutes_UnknownMethodIsRefused(t *testing.T) {
	h := newLoginServer(t)
	admin := bearer(h.login("alice"))
	before := h.store.writeCounts()
	allow := map[string]string{
		formLogin: "POST", "/auth/login": "POST", "/auth/refresh": "POST", "/auth/masquerade": "POST", "/auth/logout": "POST", "/oauth2/token": "POST",
		sessionPath + "5": "GET", openPath + "5": "GET", logoutPath: "GET", "/security/rest?_wadl": "GET, HEAD", "/openapi.json": "GET, HEAD", ofAcme: "GET, HEAD", ofUser: "GET, HEAD",
		ofAcme + "/x": "PUT, GET, HEAD, PATCH, DELETE", ofUser + "/x": "PUT, GET, HEAD, PATCH, DELETE", ofAcme + "/x/clone": "POST", ofUser + "/x/rotate": "POST", "/application-tokens/v1/rotate": "POST",
	}
	for _, path := range slices.Sorted(maps.Keys(allow)) {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", marker, "get"} {
			if slices.Contains(strings.Split(allow[path], ", "), method) {
				continue
			}
			got := h.call(method, path, admin, basic("dave"))
			if got.status != 405 || got.header.Get("Allow") != allow[path] || strings.Contains(got.body, marker) {
				t.Errorf("%s %s: %d %v %s", method, path, got.status, got.header, got.body)
			}
		}
	}
	if h.store.writeCounts() != before {
		t.Error("something was written")
	}
	h.checkNoSecretInAudit()
}
