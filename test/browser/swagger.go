package browser

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chromedp/chromedp"
)

// Fields of the dialog in which a user enters a credential, by the kind of scheme.
const (
	NameField         = "oauth_username"
	PasswordField     = "oauth_password"
	ClientField       = "client_id_password"
	ClientSecretField = "client_secret_password"
	BearerField       = "auth-bearer-value"
	BasicNameField    = "auth-basic-username"
	BasicSecretField  = "auth-basic-password"
	HeaderField       = "api_key_value"
)

// Authorize enters a credential for a scheme of the document. It returns the error that the page
// shows, and leaves the dialog open.
func (p *Tab) Authorize(scheme string, fields map[string]string) string {
	p.t.Helper()
	p.OpenDialog()
	for field, value := range fields {
		p.enterText("#"+field, value)
	}
	// Either the button offers to log out again, or an error is shown.
	done := schemePart(scheme) + "//*[self::button[.='Logout'] or contains(@class, 'errors')]"
	p.Do("authorize by "+scheme, chromedp.Click(schemePart(scheme)+"//button[.='Authorize']"), chromedp.WaitVisible(done))
	if said := Read(p, "how it went", chromedp.TextContent(done)); said != "Logout" {
		return said
	}
	return ""
}

// LogIn logs in by the password flow. It returns the error that the page shows.
func (p *Tab) LogIn(scheme, name, password string) string {
	p.t.Helper()
	return p.Authorize(scheme, map[string]string{NameField: name, PasswordField: password})
}

// LogOut makes the page forget a credential.
func (p *Tab) LogOut(scheme string) {
	p.t.Helper()
	p.OpenDialog()
	p.Do("log out", chromedp.Click(schemePart(scheme)+"//button[.='Logout']"), chromedp.WaitVisible(schemePart(scheme)+"//button[.='Authorize']"))
}

// schemePart returns the path of the part of the dialog for a scheme.
func schemePart(scheme string) string {
	return fmt.Sprintf("//div[@class='auth-container'][starts-with(.//h4, %q)]", scheme)
}

// OpenDialog opens the dialog, unless it is open.
func (p *Tab) OpenDialog() {
	p.t.Helper()
	if !p.hasElement(".modal-ux") {
		p.Do("open the dialog", chromedp.Click(chromedp.CSS(".auth-wrapper .authorize")), chromedp.WaitVisible(chromedp.CSS(".modal-ux")))
	}
}

// CloseDialog closes the dialog.
func (p *Tab) CloseDialog() {
	p.t.Helper()
	p.Do("close the dialog", chromedp.Click(chromedp.CSS(".close-modal")), chromedp.WaitNotPresent(chromedp.CSS(".modal-ux")))
}

// Answer is a response as the page shows it.
type Answer struct {
	Status int
	Body   string
}

// Execute tries an operation out, with parameters by name. An empty body leaves the body as the
// page suggests it.
func (p *Tab) Execute(tag, operation string, parameters map[string]string, body string) Answer {
	p.t.Helper()
	if p.hasElement(".modal-ux") {
		p.CloseDialog()
	}
	box := fmt.Sprintf(`[id="operations-%s-%s"]`, strings.ReplaceAll(tag, " ", "_"), operation)
	if !p.hasElement(box + " .execute") {
		p.Do("expand "+operation, chromedp.Click(chromedp.CSS(box+" .opblock-summary-control")), chromedp.WaitVisible(chromedp.CSS(box+" .execute")))
	}
	if p.hasElement(box + " .btn-clear") {
		p.Do("clear the last answer", chromedp.Click(chromedp.CSS(box+" .btn-clear")))
	}
	for name, value := range parameters {
		p.enterText(fmt.Sprintf("%s [data-param-name=%q] input", box, name), value)
	}
	if body != "" {
		p.enterText(box+" textarea.body-param__text", body)
	}
	live := box + " .live-responses-table tbody "
	p.Do("execute "+operation, chromedp.Click(chromedp.CSS(box+" .execute")), chromedp.WaitVisible(chromedp.CSS(live+".response-col_status")))
	said := Read(p, "the status", chromedp.TextContent(chromedp.CSS(live+".response-col_status")))
	status, err := strconv.Atoi(said[:min(3, len(said))])
	if err != nil {
		p.t.Fatalf("%s shows the status %q", operation, said)
	}
	if !p.hasElement(live + ".highlight-code code") {
		return Answer{Status: status}
	}
	return Answer{status, Read(p, "the body", chromedp.TextContent(chromedp.CSS(live+".highlight-code code")))}
}

// enterText replaces the text of a field.
func (p *Tab) enterText(css, value string) {
	p.t.Helper()
	p.Do("find "+css, chromedp.WaitVisible(chromedp.CSS(css)))
	Read(p, css, chromedp.Evaluate[any](fmt.Sprintf("document.querySelector(%q).select()", css)))
	p.Do("enter "+css, chromedp.SendKeys(chromedp.CSS(css), value))
}

// hasElement reports whether the page has an element now.
func (p *Tab) hasElement(css string) bool {
	p.t.Helper()
	return Read(p, css, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", css)))
}
