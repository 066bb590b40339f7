package oauth

import (
	"errors"
	"net/http"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/token"
)

// grantClient exchanges the application token that authenticates a program for an access token (RFC
// 6749, section 4.4). The access token ends with it, and never holds more. There is no refresh
// token: the program has its application token.
func (h *Handlers) grantClient(r *http.Request, _ decode.Fields, p oauthClient, scope []string) (login.Opened, error) {
	switch {
	case p.provenName() == "":
		return login.Opened{}, errNoSecret
	case p.proof.Kind != token.Application:
		return login.Opened{}, errUnauthorizedClient
	}
	if err := login.CheckScope(p.proof.Permissions, scope); err != nil {
		return login.Opened{}, err
	}
	c, there := h.Service.Directory.Client(p.proof.Client.Name)
	if !there || c.Suspended {
		return login.Opened{}, errNoSecret
	}
	end, err := h.AcquireBudget(endpoint.Principal{Identity: p.proof, Digest: p.digest})
	if err != nil {
		return login.Opened{}, err
	}
	defer end()
	o, err := h.Service.OpenAccess(r.Context(), p.digest, c, sorted(scope))
	if errors.Is(err, login.ErrDenied) { // the application token was revoked a moment ago
		return login.Opened{}, errNoSecret
	}
	if err != nil {
		return login.Opened{}, err
	}
	h.Audit.Write(h.WithOrigin(r, audit.Line{
		Event: audit.AccessIssued, Protocol: loginapi.ProtocolOf(r), Token: o.Record.Name(), Kind: token.Access.String(),
		Client: p.proof.Client.Name, Subject: p.proof.Subject, By: p.proof.ID.String(),
	}))
	return o, nil
}
