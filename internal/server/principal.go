package server

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/server/fields"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// named is a user's name and password, as a request has them.
type named struct {
	username   string
	secret     password.Secret
	integrator bool // a user of several accounts, who must say which
}

// namedIn takes a name and a password out of the Authorization header (RFC 7617, and the scheme Integrator that is like it).
// there is true where somebody tries, and ok where it can be read.
func namedIn(h http.Header) (n named, there, ok bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return named{}, false, false
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	n.integrator = strings.EqualFold(scheme, "Integrator")
	if !n.integrator && !strings.EqualFold(scheme, "Basic") {
		return named{}, false, false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimLeft(rest, " "))
	if err != nil {
		return named{}, true, false
	}
	username, presented, found := strings.Cut(string(text), ":")
	if !found || username == "" || len(username) > mostUsername {
		return named{}, true, false
	}
	n.username = username
	n.secret, err = password.Presented(presented)
	return n, true, err == nil
}

// mostUsername is how many bytes the name of a user may have: 254 characters of up to four.
const mostUsername = 4 * 254

// principal is who calls: by a token of theirs, or by name and password.
type principal struct {
	verify.Identity
	digest token.Digest // of the token; zero if there is none
}

// by is how the audit log calls a principal.
func (p principal) by() string {
	if p.digest != (token.Digest{}) {
		return p.ID.String()
	}
	return "user " + p.Subject
}

// errRefused says that the answer was written.
var errRefused = errors.New("refused")

// principalOf says who calls, by whatever they present: a token in a header, or a name and a password. A cookie is not
// enough, since a browser sends it along with whatever any page asks it to. Where account names a client, a user who comes
// by name is taken to be there. The error is errRefused, and then the answer was written.
func (d *Doors) principalOf(w http.ResponseWriter, r *http.Request, at door, account string) (principal, error) {
	n, byName, readable := namedIn(r.Header)
	p := credentialOf(r.Header)
	switch {
	case byName && (p.text != "" || p.many):
		d.unauthorized(w, basicFor(r))
		return principal{}, errRefused
	case byName && !readable:
		d.unauthorized(w, basicFor(r))
		return principal{}, errRefused
	case byName:
		return d.byName(w, r, at, n, account)
	}
	facts := verify.Facts{Source: d.source(r), Session: presentedIn(r.Header).session}
	who, verdict := d.ask(r.Context(), at, p.text, facts, facts.Source)
	switch {
	case verdict == verify.Good:
		_, digest, err := token.DigestOf(p.text)
		return principal{who, digest}, err
	case verdict.Open():
		unavailable(w)
	case p.text == "" && !p.many:
		d.unauthorized(w, challenge)
	default:
		d.unauthorized(w, invalid)
	}
	return principal{}, errRefused
}

// byName checks a name and a password, for one request.
func (d *Doors) byName(w http.ResponseWriter, r *http.Request, at door, n named, account string) (principal, error) {
	u, c, err := d.enter(r, n, account)
	if err != nil {
		d.failed(w, err, basicFor(r))
		return principal{}, errRefused
	}
	who, verdict := d.Verifier.As(u.Name, c.Name, d.source(r))
	d.Metrics.answered(at, verdict, 0)
	if verdict != verify.Good {
		d.failed(w, login.ErrDenied, basicFor(r))
		return principal{}, errRefused
	}
	return principal{Identity: who}, nil
}

// enter checks a name and a password, and chooses the account: the client of that name; or, if it is empty, that of the account_id
// in the query, without which an integrator is nobody; or the usual one.
func (d *Doors) enter(r *http.Request, n named, account string) (login.User, login.Client, error) {
	f, err := fields.Read(nil, r, 0, fields.Query, fieldAccountID)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	id, err := accountIDIn(f, n.integrator)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	u, err := d.authenticate(r, n)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	c, err := d.Logins.Account(u, id)
	if account != "" {
		in, there := d.Logins.At(u, account)
		switch {
		case id != nil && (err != nil || c.Name != account), !there:
			return login.User{}, login.Client{}, errElsewhere
		default:
			c, err = in, nil
		}
	}
	return u, c, err
}

// errElsewhere says that the caller is known and has no business there, which is answered as if there was nothing.
var errElsewhere = errors.New("the user has no such account")

// basicFor asks for a name and a password: a page that asks by itself not in a way at which the browser would, and keep the answer.
func basicFor(r *http.Request) []string {
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 && mode[0] != "navigate" {
		return challenge
	}
	return basic
}

// unauthorized refuses somebody whom nobody knows, and says how to become known.
func (d *Doors) unauthorized(w http.ResponseWriter, how []string) {
	w.Header()["Www-Authenticate"] = how
	problem(w, http.StatusUnauthorized, "unauthorized", "a token, or a name and a password, is required and was not accepted")
}
