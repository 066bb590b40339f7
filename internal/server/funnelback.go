package server

import (
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/token"
)

// This file serves the login of Funnelback 15: a form, and a response with the token in a header
// (docs/login-protocols/funnelback.md). Application tokens of its users are in
// applicationtokens.go.

// headerSecurityToken carries a token in requests and in responses.
const headerSecurityToken = "X-Security-Token"

// loginResponse is the response body of a login. The token is in the header, not here.
type loginResponse struct {
	Username  string `json:"username" doc:"The username of the login"`
	Client    string `json:"client" doc:"The client of the login"`
	AccountID int64  `json:"accountId,omitempty" doc:"The account ID of the client, if it has one"`
	ExpiresAt string `json:"expiresAt" doc:"The first instant at which the token is rejected" format:"date-time"`
}

// formLogin serves a login by form. The response has the token in X-Security-Token.
func (d *Endpoints) formLogin(w http.ResponseWriter, r *http.Request) {
	o, err := d.openForm(w, r)
	if err != nil {
		d.writeLoginError(w, err, passwordChallenge(r))
		return
	}
	w.Header()[headerSecurityToken] = []string{o.Token.Reveal()}
	writeJSON(w, http.StatusOK, loginResponse{
		Username: o.User.Username, Client: o.Client.Name, AccountID: o.Client.AccountID,
		ExpiresAt: o.Record.ExpiresAt.UTC().Format(time.RFC3339),
	})
}

func (d *Endpoints) openForm(w http.ResponseWriter, r *http.Request) (login.Opened, error) {
	f, err := readLoginFields(w, r, fieldUsername, fieldPassword, fieldRememberMe, fieldAccountID)
	if err != nil {
		return login.Opened{}, err
	}
	remember, _, err := f.Flag(fieldRememberMe)
	if err != nil {
		return login.Opened{}, err
	}
	n, err := passwordInRequest(r, f)
	if err != nil {
		return login.Opened{}, err
	}
	u, c, err := d.authenticateAtClient(r, n, f, "")
	if err != nil {
		return login.Opened{}, err
	}
	return d.openLogin(r, u, c, login.Terms{Kind: token.Login, Remember: remember})
}
