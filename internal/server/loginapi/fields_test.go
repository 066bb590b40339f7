package loginapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// field is a field of a protocol, with a valid value and its kind.
type field struct {
	name, good string
	kind       string // text, secret, number or flag
	optional   bool
}

// loginRequests returns requests whose fields the tests spoil one by one. Unspoiled, they log in.
func loginRequests(h *servertest.LoginServer) map[string]struct {
	path   string
	by     servertest.RequestOption
	fields []field
} {
	username, secret := field{"username", servertest.Usernames["dave"], "secret", false}, field{"password", servertest.Passwords["dave"], "secret", false}
	account := field{"account_id", "1001", "number", true}
	type protocol = struct {
		path   string
		by     servertest.RequestOption
		fields []field
	}
	return map[string]protocol{
		"Funnelback":           {servertest.PathFormLogin, nil, []field{username, secret, account, {"remember-me", "true", "flag", true}}},
		"TeleTracker":          {"/auth/login", nil, []field{username, secret, account, {"auth_only", "0", "flag", true}}},
		"TeleTracker, refresh": {"/auth/refresh", nil, []field{{"refresh_token", servertest.PasswordMark, "secret", false}}},
		"TeleTracker, another": {"/auth/masquerade", servertest.Bearer(h.Login("dave")), []field{{"account_id", "1001", "number", false}}},
		"OAuth":                {"/oauth2/token", nil, []field{{"grant_type", "password", "text", false}, username, secret, account}},
		"OAuth, a program":     {"/oauth2/token", nil, []field{{"grant_type", "password", "text", false}, username, secret, {"client_id", "acme", "name", true}, {"client_secret", "", "name", true}}},
		"OAuth, refresh":       {"/oauth2/token", nil, []field{{"grant_type", "refresh_token", "text", false}, {"refresh_token", servertest.PasswordMark, "secret", false}}},
	}
}

// invalidValues holds invalid values by the kind of the field. Where the key has a star, an error
// cannot name the field in every encoding.
var invalidValues = map[string]map[string]string{
	"text":   {"empty": "", "too long": strings.Repeat(servertest.PasswordMark, 1500), "not UTF-8*": servertest.PasswordMark + "\xff", "NUL*": servertest.PasswordMark + "\x00"},
	"secret": {"empty": "", "too long": strings.Repeat(servertest.PasswordMark, 1500), "not UTF-8*": servertest.PasswordMark + "\xff", "NUL*": servertest.PasswordMark + "\x00"},
	"number": {
		"empty": "", "a word": servertest.PasswordMark, "negative": "-1001", "zero": "0", "a fraction": "1001.5", "a zero before it": "01001", "a plus before it": "+1001",
		"a space before it": " 1001", "an exponent": "1e3", "in hexadecimal": "0x3e9", "too large": "9007199254740992", "larger than a machine's": "99999999999999999999",
		"digits of others": "１００１", "of another user": "3003", "that is not there": "9999", "not UTF-8*": "1\xff", "NUL*": "1\x00", "too long": strings.Repeat("1", 9000),
	},
	"flag": {"empty": "", "a word": servertest.PasswordMark, "a number": "2", "negative": "-1", "a space before it": " true", "not UTF-8*": "true\xff", "NUL*": "true\x00"},
}

// wronglyTypedValues holds JSON values of the wrong type, by the kind of the field.
var wronglyTypedValues = map[string][]string{
	"text":   {"1", "true", "[]", "{}", `["` + servertest.PasswordMark + `"]`, `{"` + servertest.PasswordMark + `":1}`, "null", `"\ud800"`, strings.Repeat("[", 9) + strings.Repeat("]", 9), "1" + strings.Repeat("0", 9000)},
	"secret": {"1", "true", "[]", "{}", `["` + servertest.PasswordMark + `"]`, `{"` + servertest.PasswordMark + `":1}`, "null", `"\ud800"`, strings.Repeat("[", 9) + strings.Repeat("]", 9)},
	"number": {"true", "[]", "{}", "[1001]", "1001.0", "1e3", "-0", "1E400", "99999999999999999999", `"` + servertest.PasswordMark + `"`},
	"flag":   {"[]", "{}", "2", "1.0", `"` + servertest.PasswordMark + `"`, "[true]"},
}

// encodeFields returns a body with fields in an encoding.
func encodeFields(encoding string, pairs []string) servertest.RequestOption {
	switch encoding {
	case "form":
		return servertest.FormBody(pairs...)
	case "parts":
		return servertest.MultipartBody(pairs...)
	}
	var text []string
	for i := 0; i < len(pairs); i += 2 {
		value, _ := json.Marshal(pairs[i+1])
		if strings.Contains(pairs[i+1], "\xff") { // Marshal would replace it
			value = []byte(`"` + pairs[i+1] + `"`)
		}
		text = append(text, `"`+pairs[i]+`":`+string(value))
	}
	return servertest.JSONBody("{" + strings.Join(text, ",") + "}")
}

// [rows 10 and 17]
func TestLoginFields_InvalidFieldIsNamedAndNotEchoed(t *testing.T) {
	h := servertest.NewLoginServer(t)
	all := loginRequests(h)
	before, tries := h.Store.WriteCounts(), 0
	for name, p := range all {
		try := func(what, field string, mayBeNameless bool, parts ...servertest.RequestOption) {
			t.Helper()
			tries++
			if p.by != nil {
				parts = append(parts, p.by)
			}
			got := h.Call(http.MethodPost, p.path, append(parts, servertest.WithForwardedFor(fmt.Sprintf("198.51.%d.%d", tries>>8, tries&255)))...)
			said := h.Members(got)
			named := said["field"] == field || said["field"] == nil && mayBeNameless
			if got.Status != 400 || said["error"] != "invalid_request" || !named || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("%s, %s %s: %d %s", name, field, what, got.Status, got.Body)
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
				try("in the query and in "+encoding, f.name, false, encodeFields(encoding, whole), servertest.QueryString(f.name+"=x"))
				for what, value := range invalidValues[f.kind] {
					if what == "empty" && f.optional { // see TestLoginFields_EmptyOptionalFieldIsAbsent
						continue
					}
					mayBeNameless := strings.HasSuffix(what, "*") && encoding != "form"
					if f.name == "grant_type" && strings.HasPrefix(value, servertest.PasswordMark) && what == "too long" {
						mayBeNameless = false
					}
					try(what+" in "+encoding, f.name, mayBeNameless, encodeFields(encoding, append(slices.Clone(others), f.name, value)))
				}
			}
			for _, value := range wronglyTypedValues[f.kind] {
				rest, _ := json.Marshal(map[string]string(fieldMap(others)))
				text := strings.TrimSuffix(string(rest), "}") + `,"` + f.name + `":` + value + "}"
				try("of the type of "+value[:min(len(value), 20)], f.name, strings.Contains(value, `\ud800`), servertest.JSONBody(strings.Replace(text, "{,", "{", 1)))
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Errorf("something was written: %v, before %v", h.Store.WriteCounts(), before)
	}
	if tries < 400 {
		t.Errorf("no more than %d were tried", tries)
	}
	h.CheckNoSecretInAudit()
}

// Programs send all fields of a form, also those that their users left empty. An optional field
// that is empty changes nothing, wherever it is.
func TestLoginFields_EmptyOptionalFieldIsAbsent(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tries := 0
	for name, p := range loginRequests(h) {
		if p.by != nil || len(p.fields) == 1 || strings.HasSuffix(name, "refresh") { // they log in by another token
			continue
		}
		var required []string
		for _, f := range p.fields {
			if !f.optional {
				required = append(required, f.name, f.good)
			}
		}
		try := func(what string, parts ...servertest.RequestOption) {
			t.Helper()
			tries++
			h.Clock.Advance(time.Second) // ten logins of one name
			got := h.Call(http.MethodPost, p.path, parts...)
			if tok := got.Body + got.Header.Get("X-Security-Token"); got.Status != 200 || !strings.Contains(tok, "atl_") {
				t.Errorf("%s, %s: %d %s", name, what, got.Status, got.Body)
			}
		}
		for _, f := range append(p.fields, field{"nothing-known", "", "text", true}) {
			if !f.optional {
				continue
			}
			for _, encoding := range []string{"form", "parts", "JSON"} {
				try("empty "+f.name+" in "+encoding, encodeFields(encoding, append(slices.Clone(required), f.name, "")))
				try(f.name+" in the query, beside "+encoding, encodeFields(encoding, required), servertest.QueryString(f.name+"="))
				try(f.name+" in the query without a value, beside "+encoding, encodeFields(encoding, required), servertest.QueryString(f.name))
			}
			rest, _ := json.Marshal(map[string]string(fieldMap(required)))
			try("null "+f.name, servertest.JSONBody(strings.TrimSuffix(string(rest), "}")+`,"`+f.name+`":null}`))
		}
	}
	if tries < 60 {
		t.Errorf("no more than %d were tried", tries)
	}
	h.CheckNoSecretInAudit()
}

// Empty fields choose no account for a caller that must choose one.
func TestLoginFields_EmptyRequiredFieldIsRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	integrator := servertest.Header("Authorization", "Integrator "+servertest.BasicCredentials(servertest.Usernames["alice"], servertest.Passwords["alice"]))
	for _, path := range []string{"/auth/login", servertest.PathFormLogin} {
		for what, body := range map[string]servertest.RequestOption{
			"a form": servertest.FormBody("account_id", ""), "parts": servertest.MultipartBody("account_id", ""), "JSON": servertest.JSONBody(`{"account_id":""}`), "null": servertest.JSONBody(`{"account_id":null}`),
			"the query": servertest.QueryString("account_id="), "nothing": servertest.FormBody(),
		} {
			got := h.Call(http.MethodPost, path, integrator, body)
			if said := h.Members(got); got.Status != 400 || said["field"] != "account_id" || said["error_description"] != "account_id is required of an integrator" {
				t.Errorf("%s, %s: %d %s", path, what, got.Status, got.Body)
			}
		}
		// The fields of a form that its user left empty stand beside the header.
		if got := h.Call(http.MethodPost, path, servertest.Basic("alice"), servertest.FormBody("username", "", "password", "", "account_id", "")); got.Status != 200 {
			t.Errorf("%s, empty fields beside Basic: %d %s", path, got.Status, got.Body)
		}
	}
	h.CheckNoSecretInAudit()
}

func fieldMap(list []string) map[string]string {
	all := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		all[list[i]] = list[i+1]
	}
	return all
}

func TestLoginFields_InvalidBodyIsRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	admin := servertest.Bearer(h.Login("alice"))
	h.AppToken("reader")
	before := h.Store.WriteCounts()
	whole := `{"username":"dave","password":"` + servertest.PasswordMark + `"}`
	deep := `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	requests := map[string]string{
		servertest.PathFormLogin: "POST", "/auth/login": "POST", "/auth/refresh": "POST", "/auth/masquerade": "POST", "/oauth2/token": "POST",
		servertest.PathAcmeTokens + "/new": "PUT", servertest.PathAcmeTokens + "/appreader": "PATCH", servertest.PathAcmeTokens + "/appreader/clone": "POST", servertest.PathUserTokens + "/new": "PUT",
	}
	for path, method := range requests {
		for name, x := range map[string]struct {
			body   servertest.RequestOption
			status int
		}{
			"a form that says it is JSON":      {servertest.RawBody("application/json", "username="+servertest.PasswordMark), 400},
			"JSON that says it is a form":      {servertest.RawBody(servertest.ContentTypeForm, whole), 400},
			"JSON that says it is in parts":    {servertest.RawBody("multipart/form-data; boundary=x", whole), 400},
			"parts without a boundary":         {servertest.RawBody("multipart/form-data", whole), 415},
			"parts with a file":                {servertest.RawBody("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"password\"; filename=\"x\"\r\n\r\n"+servertest.PasswordMark+"\r\n--x--"), 400},
			"JSON that is too deep":            {servertest.JSONBody(deep[:8<<10]), 400},
			"JSON that is deep and too large":  {servertest.JSONBody(deep), 413},
			"an array":                         {servertest.JSONBody("[" + whole + "]"), 400},
			"a text":                           {servertest.JSONBody(`"` + servertest.PasswordMark + `"`), 400},
			"null":                             {servertest.JSONBody("null"), 400},
			"an object that does not end":      {servertest.JSONBody(whole[:len(whole)-1]), 400},
			"more behind it":                   {servertest.JSONBody(whole + whole), 400},
			"a mark in front":                  {servertest.JSONBody("\xef\xbb\xbf" + whole), 400},
			"no UTF-8":                         {servertest.JSONBody("{\"\xff\":1}"), 400},
			"a body of 10 MB":                  {servertest.JSONBody(`{"x":"` + strings.Repeat("a", 10<<20) + `"}`), 413},
			"a form of 10 MB":                  {servertest.RawBody(servertest.ContentTypeForm, "x="+strings.Repeat("a", 10<<20)), 413},
			"an unknown type":                  {servertest.RawBody("application/xml", "<x>"+servertest.PasswordMark+"</x>"), 415},
			"a type that cannot be read":       {servertest.RawBody("application/json; charset", whole), 415},
			"another charset":                  {servertest.RawBody("application/json; charset=utf-16", whole), 415},
			"no type":                          {servertest.RawBody("", whole), 415},
			"two types":                        {servertest.Combined(servertest.JSONBody(whole), servertest.Header("Content-Type", servertest.ContentTypeForm)), 415},
			"a compressed body":                {servertest.Combined(servertest.JSONBody(whole), servertest.Header("Content-Encoding", "gzip")), 415},
			"a form with an escape that is no": {servertest.RawBody(servertest.ContentTypeForm, "password=%zz"+servertest.PasswordMark), 400},
			"too many fields":                  {servertest.JSONBody("{" + strings.TrimSuffix(strings.Repeat(`"a`+`":1,`, 70), ",") + "}"), 400},
		} {
			got := h.Call(method, path, x.body, admin)
			if got.Status != x.status || h.Members(got)["error"] != "invalid_request" || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("%s at %s: %d %s, want %d", name, path, got.Status, got.Body, x.status)
			}
		}
	}
	if h.Store.WriteCounts() != before {
		t.Errorf("something was written: %v, before %v", h.Store.WriteCounts(), before)
	}
	h.CheckNoSecretInAudit()
}
