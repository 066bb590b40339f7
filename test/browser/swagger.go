package browser

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chromedp/chromedp"
)

// The fields of the dialog in which a person gives a credential, by the kind of scheme.
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

// Authorize gives a credential, by the name that a scheme has in the document. It returns what the page complains of, and
// leaves the dialog open.
func (p *Tab) Authorize(scheme string, fields map[string]string) string {
	p.t.Helper()
	p.Dialog()
	for field, value := range fields {
		p.enter("#"+field, value)
	}
	// Either it is offered to log out again, or something was wrong.
	done := part(scheme) + "//*[self::button[.='Logout'] or contains(@class, 'errors')]"
	p.Do("authorize by "+scheme, chromedp.Click(part(scheme)+"//button[.='Authorize']"), chromedp.WaitVisible(done))
	if said := Read(p, "how it went", chromedp.TextContent(done)); said != "Logout" {
		return said
	}
	return ""
}

// LogIn is the password flow. It returns what the page complains of.
func (p *Tab) LogIn(scheme, name, password string) string {
	p.t.Helper()
	return p.Authorize(scheme, map[string]string{NameField: name, PasswordField: password})
}

// LogOut forgets a credential.
func (p *Tab) LogOut(scheme string) {
	p.t.Helper()
	p.Dialog()
	p.Do("log out", chromedp.Click(part(scheme)+"//button[.='Logout']"), chromedp.WaitVisible(part(scheme)+"//button[.='Authorize']"))
}

// part is the part of the dialog for a scheme.
func part(scheme string) string {
	return fmt.Sprintf("//div[@class='auth-container'][starts-with(.//h4, %q)]", scheme)
}

// Dialog opens the dialog, unless it is.
func (p *Tab) Dialog() {
	p.t.Helper()
	if !p.has(".modal-ux") {
		p.Do("open the dialog", chromedp.Click(chromedp.CSS(".auth-wrapper .authorize")), chromedp.WaitVisible(chromedp.CSS(".modal-ux")))
	}
}

// CloseDialog goes back to the page.
func (p *Tab) CloseDialog() {
	p.t.Helper()
	p.Do("close the dialog", chromedp.Click(chromedp.CSS(".close-modal")), chromedp.WaitNotPresent(chromedp.CSS(".modal-ux")))
}

// Answer is what the page shows of one.
type Answer struct {
	Status int
	Body   string
}

// Execute tries an operation out, with parameters by their names, and with a body, which is left as the page suggests it if it is
// empty here.
func (p *Tab) Execute(tag, operation string, parameters map[string]string, body string) Answer {
	p.t.Helper()
	if p.has(".modal-ux") {
		p.CloseDialog()
	}
	box := fmt.Sprintf(`[id="operations-%s-%s"]`, strings.ReplaceAll(tag, " ", "_"), operation)
	if !p.has(box + " .execute") {
		p.Do("expand "+operation, chromedp.Click(chromedp.CSS(box+" .opblock-summary-control")), chromedp.WaitVisible(chromedp.CSS(box+" .execute")))
	}
	if p.has(box + " .btn-clear") {
		p.Do("clear the last answer", chromedp.Click(chromedp.CSS(box+" .btn-clear")))
	}
	for name, value := range parameters {
		p.enter(fmt.Sprintf("%s [data-param-name=%q] input", box, name), value)
	}
	if body != "" {
		p.enter(box+" textarea.body-param__text", body)
	}
	live := box + " .live-responses-table tbody "
	p.Do("execute "+operation, chromedp.Click(chromedp.CSS(box+" .execute")), chromedp.WaitVisible(chromedp.CSS(live+".response-col_status")))
	said := Read(p, "the status", chromedp.TextContent(chromedp.CSS(live+".response-col_status")))
	status, err := strconv.Atoi(said[:min(3, len(said))])
	if err != nil {
		p.t.Fatalf("%s shows the status %q", operation, said)
	}
	if !p.has(live + ".highlight-code code") {
		return Answer{Status: status}
	}
	return Answer{status, Read(p, "the body", chromedp.TextContent(chromedp.CSS(live+".highlight-code code")))}
}

// enter types over what a field holds.
func (p *Tab) enter(css, value string) {
	p.t.Helper()
	p.Do("find "+css, chromedp.WaitVisible(chromedp.CSS(css)))
	Read(p, css, chromedp.Evaluate[any](fmt.Sprintf("document.querySelector(%q).select()", css)))
	p.Do("enter "+css, chromedp.SendKeys(chromedp.CSS(css), value))
}

// has tells whether there is something on the page now.
func (p *Tab) has(css string) bool {
	p.t.Helper()
	return Read(p, css, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", css)))
}
