package server_test

import (
	"net/http"
	"testing"
)

func TestLogin_NameAndPasswordInDecomposedForm(t *testing.T) {
	h := newOpenInn(t)
	const name, word = "erin u\u0308", "erin's u\u0308, " + marker
	if passwords["erin"] != "erin's \u00fc, "+marker || usernames["erin"] != "erin \u00fc" {
		t.Fatal("the fixture is not in composed form")
	}
	for how, p := range map[string]part{
		"in the body":           fielded("username", name, "password", word, "auth_only", "1"),
		"in the header":         header("Authorization", "Basic "+encoded(name, word)),
		"a decomposed name":     header("Authorization", "Basic "+encoded(name, passwords["erin"])),
		"a decomposed password": header("Authorization", "Basic "+encoded(usernames["erin"], word)),
	} {
		if got := h.call(http.MethodPost, "/auth/login", p); got.status != http.StatusOK {
			t.Errorf("%s: %d", how, got.status)
		}
	}
}
