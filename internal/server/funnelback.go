package server

import (
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/token"
)

// The login of Funnelback 15: a form, and the token in a header of the answer (docs/dialects/funnelback.md). The tokens of
// programs that its users make are in applicationtokens.go.

// headerSecurityToken carries a token both ways.
const headerSecurityToken = "X-Security-Token"

// loggedIn is the body beside the header. The token is not in it.
type loggedIn struct {
	Username  string `json:"username" doc:"The name that was logged in with"`
	Client    string `json:"client" doc:"The client that the login is of"`
	AccountID int64  `json:"accountId,omitempty" doc:"The same as a number, if it has one"`
	ExpiresAt string `json:"expiresAt" doc:"The first instant at which the token is refused" format:"date-time"`
}

// formLogin logs in by form, and answers with the header X-Security-Token.
func (d *Doors) formLogin(w http.ResponseWriter, r *http.Request) {
	o, err := d.loginByFields(w, r, true)
	if err != nil {
		d.failed(w, err, basicFor(r))
		return
	}
	w.Header()[headerSecurityToken] = []string{o.Token.Reveal()}
	answer(w, http.StatusOK, loggedIn{
		Username: o.User.Username, Client: o.Client.Name, AccountID: o.Client.AccountID,
		ExpiresAt: o.Record.ExpiresAt.UTC().Format(time.RFC3339),
	})
}

// loginByFields opens a login token for the name and the password in a request.
func (d *Doors) loginByFields(w http.ResponseWriter, r *http.Request, remember bool) (login.Opened, error) {
	f, err := loginFields(w, r, fieldUsername, fieldPassword, fieldRememberMe, fieldAccountID)
	if err != nil {
		return login.Opened{}, err
	}
	terms := login.Terms{Kind: token.Login}
	if remember {
		if terms.Remember, _, err = f.Flag(fieldRememberMe); err != nil {
			return login.Opened{}, err
		}
	}
	n, err := d.nameOf(r, f)
	if err != nil {
		return login.Opened{}, err
	}
	id, err := accountIDIn(f, n.integrator)
	if err != nil {
		return login.Opened{}, err
	}
	u, err := d.authenticate(r, n)
	if err != nil {
		return login.Opened{}, err
	}
	c, err := d.Logins.Account(u, id)
	if err != nil {
		return login.Opened{}, err
	}
	return d.open(r, u, c, terms)
}
