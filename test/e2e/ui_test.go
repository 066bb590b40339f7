package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/apptoken/operator/test/browser"
)

// clientTokensTag is the tag on the page of the operations on the tokens of a client.
const clientTokensTag = "Application tokens of a client"

func TestUI_UserManagesTokens(t *testing.T) {
	w := newSharedTenant(t)
	p := w.newUser("admin")
	p.editUser(`{accounts: [{client: ` + p.name + `, roles: [developer]}]}`)
	p.waitKnown()
	page := browser.Open(t, "http://"+w.op.Listeners["bind-address"].Addr().String()+"/ui/")
	page.Screenshot("operator")

	if said := page.LogIn("login", p.username, "wrong "+p.password); !strings.Contains(said, "invalid_grant") {
		t.Errorf("with a wrong password the page says %q", said)
	}
	if said := page.LogIn("login", p.username, p.password); said != "" {
		t.Fatalf("the page says %q", said)
	}
	page.Screenshot("operator-logged-in")
	page.CloseDialog()

	of := map[string]string{"client": p.name, "name": "crawler"}
	made := executeOperation(t, page, "createOfClient", of, `{"roles": ["primary"], "lifetime": "720h"}`)
	page.Do("show the token", chromedp.ScrollIntoView(chromedp.CSS(`[id="operations-Application_tokens_of_a_client-createOfClient"] .live-responses-table`)))
	page.Screenshot("operator-created")
	tok, _ := made["data"].(string)
	if !strings.HasPrefix(tok, "ata_") {
		t.Fatal("the page shows no token")
	}
	if status := p.verifyStatus(tok); status != http.StatusOK {
		t.Errorf("the token on the page is answered with %d", status)
	}
	seen := executeOperation(t, page, "getOfClient", of, "")
	listed := executeOperation(t, page, "listOfClient", map[string]string{"client": p.name}, "")
	page.Do("show the list", chromedp.ScrollIntoView(chromedp.CSS(`[id="operations-Application_tokens_of_a_client-listOfClient"] .live-responses-table`)))
	page.Screenshot("operator-list")
	for what, body := range map[string]map[string]any{"one": seen, "all": listed} {
		if text, err := json.Marshal(body); err != nil || strings.Contains(string(text), tok[4:40]) || !strings.Contains(string(text), `"crawler"`) {
			t.Errorf("%s: the token is shown again, or not at all (%v)", what, err)
		}
	}
	clone := executeOperation(t, page, "cloneOfClient", of, `{"name": "crawler-2"}`)
	if other, _ := clone["data"].(string); !strings.HasPrefix(other, "ata_") || other == tok {
		t.Error("the clone has no token of its own")
	}
	rotated := executeOperation(t, page, "rotateOfClient", of, "")
	next, _ := rotated["data"].(string)
	executeOperation(t, page, "revokeOfClient", of, "")
	for name, text := range map[string]string{"the first": tok, "the second": next} {
		if status := p.verifyStatus(text); status != http.StatusUnauthorized {
			t.Errorf("%s version is answered with %d after it was revoked", name, status)
		}
	}
	page.AssertNoProblems("400 /oauth2/token")
}

// verifyStatus returns the status that a gateway gets for a token.
func (p *loginUser) verifyStatus(text string) int {
	p.Helper()
	a, err := p.sendRequest(p.Context(), "bind-address", http.MethodGet, "/verify", bearerHeader(text), "")
	p.must(err)
	return a.status
}

// executeOperation executes an operation on the page, and returns the response that the page shows.
// The leak check looks for the secrets in it.
func executeOperation(t *testing.T, page *browser.Tab, operation string, parameters map[string]string, body string) map[string]any {
	t.Helper()
	a := page.Execute(clientTokensTag, operation, parameters, body)
	markSecrets([]byte(a.Body))
	got := map[string]any{}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != http.StatusOK {
		page.Screenshot("operator-failed")
		t.Fatalf("%s: the page shows the status %d (%v)", operation, a.Status, err)
	}
	return got
}
