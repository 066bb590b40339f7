package browser_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/apptoken/operator/test/browser"
)

func TestUI_UserLogsInAndTriesOperations(t *testing.T) {
	f := newFixture(t)
	p := browser.Open(t, f.url+"/ui/")
	p.Screenshot("page")
	if title := browser.Read(p, "the title", chromedp.Title()); title != "Application tokens" {
		t.Errorf("the page is called %q", title)
	}
	if a := p.Execute("identity", "whoami", nil, ""); a.Status != 401 {
		t.Errorf("an unauthenticated caller gets %+v", a)
	}
	p.OpenDialog()
	p.Screenshot("dialog")
	if said := p.LogIn("password", fixtureUser, fixturePassword); said != "" {
		t.Fatalf("it cannot be logged in: %s", said)
	}
	p.Screenshot("logged-in")
	f.assertLogin(t, "", url.Values{"grant_type": {"password"}, "username": {fixtureUser}, "password": {fixturePassword}})

	a := p.Execute("identity", "whoami", map[string]string{"permission": "search.query"}, "")
	p.Do("show the answer", chromedp.ScrollIntoView(chromedp.CSS("#operations-identity-whoami .live-responses-table")))
	p.Screenshot("answer")
	assertAnswer(t, a, 200, map[string]any{"user": fixtureUser, "permission": "search.query", "cookie": true})
	assertAnswer(t, p.Execute("tokens", "issue", nil, ""), 201, map[string]any{"issued": "indexer"})

	p.Do("look at the schemas",
		chromedp.Click("//*[@id='operations-identity-whoami']//button[.='Schema']"),
		chromedp.Click(chromedp.CSS(".models-control")),
		chromedp.WaitVisible(chromedp.CSS(".models .json-schema-2020-12")),
		chromedp.Click(chromedp.CSS(".models .json-schema-2020-12-accordion")),
		chromedp.ScrollIntoView(chromedp.CSS(".models")),
	)
	p.Screenshot("schemas")
	p.AssertNoProblems("401 /whoami")
}

func TestUI_WrongPasswordIsShownAndCorrectable(t *testing.T) {
	f := newFixture(t)
	p := browser.Open(t, f.url+"/ui/")
	said := p.LogIn("password", fixtureUser, "wrong")
	p.Screenshot("wrong-password")
	for _, part := range []string{"invalid_grant", "the name or the password is wrong"} {
		if !strings.Contains(said, part) {
			t.Errorf("%q does not say %q", said, part)
		}
	}
	if said := p.LogIn("password", fixtureUser, fixturePassword); said != "" {
		t.Errorf("with the right password: %s", said)
	}
	p.AssertNoProblems("400 /oauth2/token")
}

func TestUI_ClientWithoutSecretIsInBody(t *testing.T) {
	f := newFixture(t)
	p := browser.Open(t, f.url+"/ui/")
	form := url.Values{"grant_type": {"password"}, "username": {fixtureUser}, "password": {fixturePassword}}
	fields := map[string]string{browser.NameField: fixtureUser, browser.PasswordField: fixturePassword, browser.ClientField: "shop"}

	if said := p.Authorize("password", fields); said != "" {
		t.Fatal(said)
	}
	p.LogOut("password")
	fields[browser.ClientSecretField] = "s3cret"
	if said := p.Authorize("password", fields); said != "" {
		t.Fatal(said)
	}
	named := url.Values{"client_id": {"shop"}}
	for key, values := range form {
		named[key] = values
	}
	f.assertLogin(t, "", named)
	f.assertLogin(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("shop:s3cret")), form)
	p.AssertNoProblems()
}

func TestUI_SendsEachCredentialByItsScheme(t *testing.T) {
	f := newFixture(t)
	p := browser.Open(t, f.url+"/ui/")
	for scheme, fields := range map[string]map[string]string{
		"bearer": {browser.BearerField: fixtureToken},
		"basic":  {browser.BasicNameField: fixtureUser, browser.BasicSecretField: fixturePassword},
		"header": {browser.HeaderField: fixtureToken},
	} {
		if said := p.Authorize(scheme, fields); said != "" {
			t.Errorf("%s: %s", scheme, said)
		}
		assertAnswer(t, p.Execute("identity", "whoami", nil, ""), 200, map[string]any{"user": fixtureUser, "permission": "", "cookie": false})
		p.LogOut(scheme)
	}
	if a := p.Execute("identity", "whoami", nil, ""); a.Status != 401 {
		t.Errorf("after logging out, the answer is %+v", a)
	}
	p.AssertNoProblems("401 /whoami")
}

func TestUI_LinkCannotChangeConfiguration(t *testing.T) {
	f := newFixture(t)
	elsewhere := url.QueryEscape("http://elsewhere.invalid/openapi.json")
	p := browser.Open(t, f.url+"/ui/?url="+elsewhere+"&config="+elsewhere+"&validatorUrl="+elsewhere+"#/identity/whoami")
	p.Do("wait for the operation", chromedp.WaitVisible(chromedp.CSS("#operations-identity-whoami .execute")))
	p.AssertNoProblems()
}

func assertAnswer(t *testing.T, a browser.Answer, status int, body map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != status || !reflect.DeepEqual(got, body) {
		t.Errorf("the page shows %d %s, want %d %v (%v)", a.Status, a.Body, status, body, err)
	}
}

// assertLogin asserts the first recorded request for a token, and removes it from the record.
func (f *fixture) assertLogin(t *testing.T, authorization string, form url.Values) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.logins) == 0 {
		t.Fatal("no request asked for a token")
	}
	got := f.logins[0]
	f.logins = f.logins[1:]
	if got.authorization != authorization || !reflect.DeepEqual(got.form, form) {
		t.Errorf("asked for a token with %q and %v, want %q and %v", got.authorization, got.form, authorization, form)
	}
}
