package server_test

import (
	"net/http"
	"testing"
)

func TestLogin_NameAndPasswordInDecomposedForm(t *testing.T) {
	h := newLoginServer(t)
	const name, word = "erin u\u0308", "erin's u\u0308, " + marker
	if passwords["erin"] != "erin's \u00fc, "+marker || usernames["erin"] != "erin \u00fc" {
		t.Fatal("the fixture is not in composed form")
	}
	for how, p := range map[string]requestOption{
		"in the body":           formBody("username", name, "password", word, "auth_only", "1"),
		"in the header":         header("Authorization", "Basic "+basicCredentials(name, word)),
		"a decomposed name":     header("Authorization", "Basic "+basicCredentials(name, passwords["erin"])),
		"a decomposed password": header("Authorization", "Basic "+basicCredentials(usernames["erin"], word)),
	} {
		if got := h.call(http.MethodPost, "/auth/login", p); got.status != http.StatusOK {
			t.Errorf("%s: %d", how, got.status)
		}
	}
}
