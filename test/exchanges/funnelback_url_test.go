package exchanges

import (
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestExchanges_FunnelbackCredentialsInURL(t *testing.T) {
	run(t, []exchange{
		{
			source: funnelbackPast, does: "the name and the password in the URL, where the administrator allows it", send: "POST /admin-api/account/v1/login?username={username}&password={password}",
			headers: []string{fromCurl, anything}, status: 200, keep: []string{"token = header X-Security-Token"},
		},
		{
			source: funnelbackPast, does: "send the token in each request", isProtected: true, send: "GET /admin-api/collections/v1/collections",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 200,
		},
		{
			source: funnelbackPast, does: "a wrong password in the URL", send: "POST /admin-api/account/v1/login?username={username}&password=wrong",
			headers: []string{fromCurl, anything}, status: 401,
		},
	}, func(h *servertest.LoginServer) { h.LoginCredentialsInURL = true })
}
