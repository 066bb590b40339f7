package gateways_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/verify"
)

// wantHeaders returns the headers that the upstream must get for a token.
func (p *fixture) wantHeaders(name string) map[string]string {
	p.Helper()
	who, verdict := p.Index.Verify(p.Now, p.Tokens[name], verify.Facts{})
	if verdict != verify.Valid {
		p.Fatalf("%s is %v", name, verdict)
	}
	user := ""
	if who.User != nil {
		user = who.User.Name
	}
	return map[string]string{
		"X-Apptoken-Subject": who.Subject, "X-Apptoken-Client": who.Client.Name, "X-Apptoken-Roles": who.RoleList, "X-Apptoken-User": user,
		"X-Apptoken-Permissions": who.PermissionList, "X-Apptoken-Token-Id": who.ID.String(), "X-Apptoken-Kind": who.Kind.String(),
	}
}

// Session tokens are valid with a cookie only, and some programs keep their credential in a cookie.
func TestGateways_ForwardCookies(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		const session = "SESSION=5f0c0f4e-8d5b-4a52-9b1e-3a7d2c9e6f10"
		credential := "spectrum.authentication.token="
		for name, x := range map[string]struct {
			header http.Header
			user   string
		}{
			"a login":                             {p.bearerHeader("login"), "alice"},
			"a session token and its session":     {withCookies(p.bearerHeader("sessionanywhere"), "a=b; "+session), "alice"},
			"a session token alone":               {p.bearerHeader("sessionanywhere"), ""},
			"a session token and another session": {withCookies(p.bearerHeader("sessionanywhere"), strings.ToUpper(session)), ""},
			"a token in a cookie":                 {withCookies(http.Header{}, credential+p.Tokens["login"]+"; a=b"), "alice"},
			"a session token in cookies":          {withCookies(http.Header{}, session+"; "+credential+p.Tokens["sessionanywhere"]), "alice"},
			"a token in a cookie and in a header": {withCookies(p.bearerHeader("login"), credential+p.Tokens["login"]), "alice"},
			"the same token in two cookies":       {withCookies(http.Header{}, credential+p.Tokens["login"]+"; "+credential+p.Tokens["login"]), "alice"},
			"two tokens in two cookies":           {withCookies(http.Header{}, credential+p.Tokens["login"]+"; "+credential+p.Tokens["indexer"]), ""},
			"a remember-me cookie":                {withCookies(http.Header{}, "SPRING_SECURITY_REMEMBER_ME_COOKIE="+p.Tokens["login"]), "alice"},
		} {
			got := p.send(callerRequest{header: x.header})
			switch {
			case x.user == "" && got.status != http.StatusUnauthorized, x.user != "" && got.status != http.StatusOK:
				p.Errorf("%s: %d", name, got.status)
			case x.user != "" && (got.upstream == nil || got.upstream.header.Get("X-Apptoken-User") != x.user || got.upstream.header.Get("X-Apptoken-Subject") != x.user):
				p.Errorf("%s: the upstream gets %v", name, got.upstream)
			}
		}
	})
}

func withCookies(h http.Header, line string) http.Header {
	h.Set("Cookie", line)
	return h
}

func TestGateways_PassValidTokensWithIdentity(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		good := "Bearer " + p.Tokens["indexer"]
		for name, x := range map[string]struct {
			header http.Header
			path   string
			status int
		}{
			"no token":                                 {http.Header{}, "", 401},
			"garbage":                                  {http.Header{"Authorization": {"Bearer garbage"}}, "", 401},
			"another scheme":                           {http.Header{"Authorization": {"Basic dTpw"}}, "", 401},
			"a token that is unknown":                  {p.bearerHeader("unlisted"), "", 401},
			"a token at its end":                       {p.bearerHeader("ended"), "", 401},
			"a valid token":                            {p.bearerHeader("indexer"), "", 200},
			"a valid token in a header of its own":     {http.Header{"X-Security-Token": {p.Tokens["indexer"]}}, "", 200},
			"a valid token, where it has to hold some": {p.bearerHeader("indexer"), "search/all?q=1", 200},
			"a valid token that may do nothing":        {p.bearerHeader("nothing"), "", 200},
			"the same, where it has to hold some":      {p.bearerHeader("nothing"), "search/all?q=1", 403},
			"no token, where it has to hold some":      {http.Header{}, "search/all", 401},
			"two credentials":                          {http.Header{"Authorization": {good}, "X-Security-Token": {p.Tokens["both"]}}, "", 401},
			"two credentials, one a misspelt header":   {http.Header{"Authorization": {good}, "Authentication": {"Bearer " + p.Tokens["both"]}}, "", 401},
			"one token in two headers":                 {http.Header{"Authorization": {good}, "Authentication": {good}}, "", 200},
			"two credentials, one bad":                 {http.Header{"Authorization": {good}, "X-Security-Token": {"garbage"}}, "", 401},
			"two lines of one header, the bad first":   {http.Header{"Authorization": {"Bearer garbage", good}}, "", 401},
			"two lines of one header, the good first":  {http.Header{"Authorization": {good, "Bearer garbage"}}, "", 401},
			"two lines, of one token":                  {http.Header{"X-Security-Token": {p.Tokens["indexer"], p.Tokens["indexer"]}}, "", 200},
		} {
			got := p.send(callerRequest{header: x.header, path: x.path})
			switch {
			case strings.HasPrefix(name, "two lines") && got.status == http.StatusBadRequest: // nginx by itself
			case got.status != x.status:
				p.Errorf("%s: %d, want %d", name, got.status, x.status)
			}
			if got.upstream == nil {
				continue
			}
			holder := "indexer"
			if strings.Contains(name, "nothing") {
				holder = "nothing"
			}
			for header, want := range p.wantHeaders(holder) {
				if said := got.upstream.header[header]; len(said) > 1 || got.upstream.header.Get(header) != want {
					p.Errorf("%s: the upstream sees %s: %q, want %q", name, header, said, want)
				}
			}
		}
	})
}

func TestGateways_IgnoreRequirementsInURL(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		for name, x := range map[string]struct {
			holder, path string
			status       int
		}{
			"a permission":                          {"nothing", "search/all?permission=", 403},
			"a permission that it has":              {"single", "search/all?permission=search.query", 200},
			"a permission that it has not":          {"indexer", "search/all?permission=sec.user.delete", 200},
			"a client":                              {"nothing", "search/all?client=beta", 403},
			"another client":                        {"indexer", "?client=beta", 200},
			"a role":                                {"indexer", "?role=root&role=primary", 200},
			"what cannot be read":                   {"indexer", "search/all?%zz;=&permission=%", 200},
			"a query in the query":                  {"nothing", "search/all?x=1?permission=&", 403},
			"a fragment":                            {"nothing", "search/all#/../..", 403},
			"an escaped letter":                     {"nothing", "%73earch/all", 403},
			"an escaped slash":                      {"nothing", "search%2fall", 403},
			"a slash too many":                      {"nothing", "/search/all", 403},
			"a dot":                                 {"nothing", "./search/all", 403},
			"there and back":                        {"nothing", "x/../search/all", 403},
			"there and back, escaped":               {"nothing", "x/%2e%2e/search/all", 403},
			"there and back, with an escaped slash": {"nothing", "x/..%2fsearch/all", 403},
			"where nginx asks":                      {"indexer", "_verify", 404},
			"where nginx asks, and a slash":         {"indexer", "_verify/", 404},
			"where nginx asks, and what":            {"nothing", "_verify/permission=search.query", 404},
		} {
			got := p.send(callerRequest{header: p.bearerHeader(x.holder), path: x.path})
			switch {
			case x.status == 404 && got.status == 200 && got.upstream != nil && got.upstream.uri == "/"+x.path: // an address as any other
			case x.status == 403 && got.status == 400: // the gateway does not accept the spelling
			case got.status != x.status:
				p.Errorf("%s: %d, want %d", name, got.status, x.status)
			}
		}
	})
}

func TestGateways_RejectionMatchesPage(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		got := p.send(callerRequest{header: http.Header{}})
		if challenge := got.header.Get("Www-Authenticate"); challenge != `Bearer realm="apptoken"` {
			p.Errorf("without a token: %q", challenge)
		}
		got = p.send(callerRequest{header: http.Header{"Authorization": {"Bearer garbage"}}})
		if challenge := got.header.Get("Www-Authenticate"); challenge != `Bearer realm="apptoken", error="invalid_token"` {
			p.Errorf("with a bad token: %q", challenge)
		}
		got = p.send(callerRequest{header: p.bearerHeader("nothing"), path: "search/all"})
		fromOperator := strings.HasPrefix(got.body, `{"error":"insufficient_scope"`) &&
			got.header.Get("Www-Authenticate") == `Bearer realm="apptoken", error="insufficient_scope"`
		if fromOperator != p.passesBody {
			p.Errorf("a 403 is %v\n%s", got.header, got.body)
		}
	})
}

func TestGateways_RejectRevokedTokenAtNextRequest(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		if got := p.send(callerRequest{header: p.bearerHeader("indexer")}); got.status != http.StatusOK {
			p.Fatalf("%d", got.status)
		}
		p.Index.Remove(p.Records["indexer"].Digest)
		if got := p.send(callerRequest{header: p.bearerHeader("indexer")}); got.status != http.StatusUnauthorized {
			p.Errorf("%d", got.status)
		}
	})
}
