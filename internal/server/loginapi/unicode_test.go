package loginapi_test

import (
	"net/http"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestLogin_NameAndPasswordInDecomposedForm(t *testing.T) {
	h := servertest.NewLoginServer(t)
	const name, word = "erin u\u0308", "erin's u\u0308, " + servertest.PasswordMark
	if servertest.Passwords["erin"] != "erin's \u00fc, "+servertest.PasswordMark || servertest.Usernames["erin"] != "erin \u00fc" {
		t.Fatal("the fixture is not in composed form")
	}
	for how, p := range map[string]servertest.RequestOption{
		"in the body":           servertest.FormBody("username", name, "password", word, "auth_only", "1"),
		"in the header":         servertest.Header("Authorization", "Basic "+servertest.BasicCredentials(name, word)),
		"a decomposed name":     servertest.Header("Authorization", "Basic "+servertest.BasicCredentials(name, servertest.Passwords["erin"])),
		"a decomposed password": servertest.Header("Authorization", "Basic "+servertest.BasicCredentials(servertest.Usernames["erin"], word)),
	} {
		if got := h.Call(http.MethodPost, "/auth/login", p); got.Status != http.StatusOK {
			t.Errorf("%s: %d", how, got.Status)
		}
	}
}
