package soap_test

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// credentialIn returns the ways in which a request presents a session token with its session.
var credentialIn = map[string]func(tok tokenInfo) servertest.RequestOption{
	"in a header": func(tok tokenInfo) servertest.RequestOption {
		return servertest.Combined(servertest.Bearer(tok.Token), servertest.Cookies("SESSION="+tok.Session))
	},
	"in a cookie": func(tok tokenInfo) servertest.RequestOption {
		return servertest.Cookies(servertest.CredentialCookie+tok.Token, "SESSION="+tok.Session)
	},
}

func TestLogout_EndsTokenOfCaller(t *testing.T) {
	for name, v := range versions {
		for how, present := range credentialIn {
			for _, namespace := range []string{namespacePB, namespacePrecisely} {
				h := servertest.NewLoginServer(t)
				tok, other := newToken(t, h, "getAccessToken", ""), newToken(t, h, "getAccessToken", "")
				text := strings.ReplaceAll(v.call("logout", ""), namespacePB, namespace)
				got, a := post(h, pathLogout, present(tok), v.body(text))
				if got.Status != http.StatusOK || a.Body.Result.XMLName != (xml.Name{Space: namespace, Local: "logoutResponse"}) || a.Body.Result.Return != nil {
					t.Errorf("%s, %s: %d %s", name, how, got.Status, got.Body)
				}
				if set := got.Header.Values("Set-Cookie"); !slices.Equal(set, []string{"SESSION=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}) {
					t.Errorf("%s, %s: it sets %q", name, how, set)
				}
				if h.IsValid(tok.Token, servertest.Cookies("SESSION="+tok.Session)) || !h.IsValid(other.Token, servertest.Cookies("SESSION="+other.Session)) {
					t.Errorf("%s, %s: it ended another token, or none", name, how)
				}
				if again, a := post(h, pathLogout, present(tok), v.body(text)); again.Status != http.StatusUnauthorized || a.Body.Fault == nil {
					t.Errorf("%s, %s: again: %d %s", name, how, again.Status, again.Body)
				}
				h.CheckNoSecretInAudit()
			}
		}
	}
}

func TestLogout_RefusedCallers(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := newToken(t, h, "getAccessToken", "")
	session := servertest.Cookies("SESSION=" + tok.Session)
	app := h.AppToken("reader")
	before := h.Store.WriteCounts()
	for name, x := range map[string]struct {
		parts  []servertest.RequestOption
		text   string
		status int
	}{
		"no token":                     {nil, soap11.call("logout", ""), 401},
		"a name and a password":        {[]servertest.RequestOption{servertest.Basic("alice")}, soap11.call("logout", ""), 401},
		"a session token alone":        {[]servertest.RequestOption{servertest.Bearer(tok.Token)}, soap11.call("logout", ""), 401},
		"the token in the message":     {nil, soap11.call("logout", "<token>"+tok.Token+"</token>"), 401},
		"an application token":         {[]servertest.RequestOption{servertest.Bearer(app)}, soap11.call("logout", ""), 403},
		"an operation for tokens":      {[]servertest.RequestOption{servertest.Bearer(tok.Token), session}, soap11.call("getAccessToken", ""), 500},
		"an operation of another name": {[]servertest.RequestOption{servertest.Bearer(tok.Token), session}, soap11.call("logOut", ""), 500},
		"two operations":               {[]servertest.RequestOption{servertest.Bearer(tok.Token), session}, soap11.message("<t:logout/><t:logout/>"), 500},
	} {
		got, a := post(h, pathLogout, append(x.parts, soap11.body(x.text))...)
		code, _ := a.fault()
		challenge := got.Header.Get("Www-Authenticate")
		if got.Status != x.status || code != soap11.caller || strings.Contains(got.Body, tok.Token) || (challenge == `Bearer realm="apptoken"`) != (x.status == 401) {
			t.Errorf("%s: %d %v %s", name, got.Status, got.Header, got.Body)
		}
		if len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: a cookie is set", name)
		}
	}
	if h.Store.WriteCounts() != before || !h.IsValid(tok.Token, session) {
		t.Error("something was written, or ended")
	}
	h.CheckNoSecretInAudit()
}
