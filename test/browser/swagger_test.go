package browser_test

import (
	"fmt"
	"strconv"

	"github.com/chromedp/chromedp"
)

// The fields of the dialog in which a person gives a credential, by the kind of scheme.
const (
	nameField         = "oauth_username"
	passwordField     = "oauth_password"
	clientField       = "client_id_password"
	clientSecretField = "client_secret_password"
	bearerField       = "auth-bearer-value"
	basicNameField    = "auth-basic-username"
	basicSecretField  = "auth-basic-password"
	headerField       = "api_key_value"
)

// authorize gives a credential, by the name that a scheme has in the document. It returns what the page complains of, and
// leaves the dialog open.
func (p *tab) authorize(scheme string, fields map[string]string) string {
	p.t.Helper()
	p.dialog()
	for field, value := range fields {
		p.enter("#"+field, value)
	}
	// Either it is offered to log out again, or something was wrong.
	done := part(scheme) + "//*[self::button[.='Logout'] or contains(@class, 'errors')]"
	p.do("authorize by "+scheme, chromedp.Click(part(scheme)+"//button[.='Authorize']"), chromedp.WaitVisible(done))
	if said := read(p, "how it went", chromedp.TextContent(done)); said != "Logout" {
		return said
	}
	return ""
}

// logIn is the password flow. It returns what the page complains of.
func (p *tab) logIn(scheme, name, password string) string {
	p.t.Helper()
	return p.authorize(scheme, map[string]string{nameField: name, passwordField: password})
}

// logOut forgets a credential.
func (p *tab) logOut(scheme string) {
	p.t.Helper()
	p.dialog()
	p.do("log out", chromedp.Click(part(scheme)+"//button[.='Logout']"), chromedp.WaitVisible(part(scheme)+"//button[.='Authorize']"))
}

// part is the part of the dialog for a scheme.
func part(scheme string) string {
	return fmt.Sprintf("//div[@class='auth-container'][starts-with(.//h4, %q)]", scheme)
}

// dialog opens the dialog, unless it is.
func (p *tab) dialog() {
	p.t.Helper()
	if !p.has(".modal-ux") {
		p.do("open the dialog", chromedp.Click(chromedp.CSS(".auth-wrapper .authorize")), chromedp.WaitVisible(chromedp.CSS(".modal-ux")))
	}
}

// closeDialog goes back to the page.
func (p *tab) closeDialog() {
	p.t.Helper()
	p.do("close the dialog", chromedp.Click(chromedp.CSS(".close-modal")), chromedp.WaitNotPresent(chromedp.CSS(".modal-ux")))
}

// answer is what the page shows of one.
type answer struct {
	status int
	body   string
}

// execute tries an operation out, with parameters by their names. A body is left as the page suggests it.
func (p *tab) execute(tag, operation string, parameters map[string]string) answer {
	p.t.Helper()
	if p.has(".modal-ux") {
		p.closeDialog()
	}
	box := fmt.Sprintf(`[id="operations-%s-%s"]`, tag, operation)
	if !p.has(box + " .execute") {
		p.do("expand "+operation, chromedp.Click(chromedp.CSS(box+" .opblock-summary-control")), chromedp.WaitVisible(chromedp.CSS(box+" .execute")))
	}
	if p.has(box + " .btn-clear") {
		p.do("clear the last answer", chromedp.Click(chromedp.CSS(box+" .btn-clear")))
	}
	for name, value := range parameters {
		p.enter(fmt.Sprintf("%s [data-param-name=%q] input", box, name), value)
	}
	live := box + " .live-responses-table tbody "
	p.do("execute "+operation, chromedp.Click(chromedp.CSS(box+" .execute")), chromedp.WaitVisible(chromedp.CSS(live+".response-col_status")))
	said := read(p, "the status", chromedp.TextContent(chromedp.CSS(live+".response-col_status")))
	status, err := strconv.Atoi(said[:min(3, len(said))])
	if err != nil {
		p.t.Fatalf("%s shows the status %q", operation, said)
	}
	if !p.has(live + ".highlight-code code") {
		return answer{status: status}
	}
	return answer{status, read(p, "the body", chromedp.TextContent(chromedp.CSS(live+".highlight-code code")))}
}

// enter types over what a field holds.
func (p *tab) enter(css, value string) {
	p.t.Helper()
	p.do("find "+css, chromedp.WaitVisible(chromedp.CSS(css)))
	read(p, css, chromedp.Evaluate[any](fmt.Sprintf("document.querySelector(%q).select()", css)))
	p.do("enter "+css, chromedp.SendKeys(chromedp.CSS(css), value))
}

// has tells whether there is something on the page now.
func (p *tab) has(css string) bool {
	p.t.Helper()
	return read(p, css, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", css)))
}
