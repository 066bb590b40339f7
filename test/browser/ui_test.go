package browser_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestAPersonLogsInAndTriesDoorsOut(t *testing.T) {
	f := newFixture(t)
	p := open(t, f.url+"/ui/")
	p.picture("page")
	if title := read(p, "the title", chromedp.Title()); title != "Application tokens" {
		t.Errorf("the page is called %q", title)
	}
	if a := p.execute("identity", "whoami", nil); a.status != 401 {
		t.Errorf("a stranger is told %+v", a)
	}
	p.dialog()
	p.picture("dialog")
	if said := p.logIn("password", person, password); said != "" {
		t.Fatalf("it cannot be logged in: %s", said)
	}
	p.picture("logged-in")
	f.mustHaveBeenAsked(t, "", url.Values{"grant_type": {"password"}, "username": {person}, "password": {password}})

	a := p.execute("identity", "whoami", map[string]string{"permission": "search.query"})
	p.do("show the answer", chromedp.ScrollIntoView(chromedp.CSS("#operations-identity-whoami .live-responses-table")))
	p.picture("answer")
	a.mustBe(t, 200, map[string]any{"user": person, "permission": "search.query", "cookie": true})
	p.execute("tokens", "issue", nil).mustBe(t, 201, map[string]any{"issued": "indexer"})

	p.do("look at the schemas",
		chromedp.Click("//*[@id='operations-identity-whoami']//button[.='Schema']"),
		chromedp.Click(chromedp.CSS(".models-control")),
		chromedp.WaitVisible(chromedp.CSS(".models .json-schema-2020-12")),
		chromedp.Click(chromedp.CSS(".models .json-schema-2020-12-accordion")),
		chromedp.ScrollIntoView(chromedp.CSS(".models")),
	)
	p.picture("schemas")
	p.mustBeQuiet("401 /whoami")
}

func TestAWrongPasswordIsToldAndCanBeCorrected(t *testing.T) {
	f := newFixture(t)
	p := open(t, f.url+"/ui/")
	said := p.logIn("password", person, "wrong")
	p.picture("wrong-password")
	for _, part := range []string{"invalid_grant", "the name or the password is wrong"} {
		if !strings.Contains(said, part) {
			t.Errorf("%q does not say %q", said, part)
		}
	}
	if said := p.logIn("password", person, password); said != "" {
		t.Errorf("with the right password: %s", said)
	}
	p.mustBeQuiet("400 /oauth2/token")
}

func TestAClientIsNamedInTheBodyUnlessItHasASecret(t *testing.T) {
	f := newFixture(t)
	p := open(t, f.url+"/ui/")
	form := url.Values{"grant_type": {"password"}, "username": {person}, "password": {password}}
	fields := map[string]string{nameField: person, passwordField: password, clientField: "shop"}

	if said := p.authorize("password", fields); said != "" {
		t.Fatal(said)
	}
	p.logOut("password")
	fields[clientSecretField] = "s3cret"
	if said := p.authorize("password", fields); said != "" {
		t.Fatal(said)
	}
	named := url.Values{"client_id": {"shop"}}
	for key, values := range form {
		named[key] = values
	}
	f.mustHaveBeenAsked(t, "", named)
	f.mustHaveBeenAsked(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("shop:s3cret")), form)
	p.mustBeQuiet()
}

func TestEachCredentialIsSentInItsOwnWay(t *testing.T) {
	f := newFixture(t)
	p := open(t, f.url+"/ui/")
	for scheme, fields := range map[string]map[string]string{
		"bearer": {bearerField: issued},
		"basic":  {basicNameField: person, basicSecretField: password},
		"header": {headerField: issued},
	} {
		if said := p.authorize(scheme, fields); said != "" {
			t.Errorf("%s: %s", scheme, said)
		}
		p.execute("identity", "whoami", nil).mustBe(t, 200, map[string]any{"user": person, "permission": "", "cookie": false})
		p.logOut(scheme)
	}
	if a := p.execute("identity", "whoami", nil); a.status != 401 {
		t.Errorf("after logging out, the answer is %+v", a)
	}
	p.mustBeQuiet("401 /whoami")
}

func TestALinkSetsNothingButTheOperationItShows(t *testing.T) {
	f := newFixture(t)
	elsewhere := url.QueryEscape("http://elsewhere.invalid/openapi.json")
	p := open(t, f.url+"/ui/?url="+elsewhere+"&config="+elsewhere+"&validatorUrl="+elsewhere+"#/identity/whoami")
	p.do("wait for the operation", chromedp.WaitVisible(chromedp.CSS("#operations-identity-whoami .execute")))
	p.mustBeQuiet()
}

func (a answer) mustBe(t *testing.T, status int, body map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != status || !reflect.DeepEqual(got, body) {
		t.Errorf("the page shows %d %s, want %d %v (%v)", a.status, a.body, status, body, err)
	}
}

// mustHaveBeenAsked takes the first request for a token out of those that there were.
func (f *fixture) mustHaveBeenAsked(t *testing.T, authorization string, form url.Values) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.logins) == 0 {
		t.Fatal("nobody asked for a token")
	}
	got := f.logins[0]
	f.logins = f.logins[1:]
	if got.authorization != authorization || !reflect.DeepEqual(got.form, form) {
		t.Errorf("asked for a token with %q and %v, want %q and %v", got.authorization, got.form, authorization, form)
	}
}
