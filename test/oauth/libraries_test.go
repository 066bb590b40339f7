package oauth_test

import (
	"testing"

	"github.com/apptoken/operator/test/programs"
)

func TestOAuthLibraries_Node(t *testing.T) {
	node := programs.Node(t)
	programs.InstallNPM(t, ".")
	for _, script := range []string{"openid_client.mjs", "oauth4webapi.mjs", "simple_oauth2.mjs"} {
		for name, path := range issuerPaths {
			t.Run(script+" at "+name, func(t *testing.T) {
				h := newServer(t, path)
				h.checkReport(h.run(node, script))
			})
		}
	}
}

func TestOAuthLibraries_Python(t *testing.T) {
	programs.RequirePython(t, "authlib", "requests", "requests_oauthlib")
	for _, script := range []string{"authlib_client.py", "requests_oauthlib_client.py"} {
		for name, path := range issuerPaths {
			t.Run(script+" at "+name, func(t *testing.T) {
				h := newServer(t, path)
				h.checkReport(h.run(programs.Python, script))
			})
		}
	}
}
