package server

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/grant"
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
// there is true where somebody tries, and ok where it counts: not beside a second such header, which may say something else, and
// not where a browser adds it to what another site had it send.
func namedIn(r *http.Request) (n named, there, ok bool) {
	values := r.Header["Authorization"]
	credentials := ""
	for _, value := range values {
		scheme, rest, _ := strings.Cut(value, " ")
		integrator := strings.EqualFold(scheme, "Integrator")
		if integrator || strings.EqualFold(scheme, "Basic") {
			n.integrator, credentials, there = integrator, strings.TrimLeft(rest, " "), true
		}
	}
	text, err := base64.StdEncoding.DecodeString(credentials)
	if !there || err != nil || len(values) > 1 || fromElsewhere(r) {
		return named{}, there, false
	}
	username, presented, found := strings.Cut(string(text), ":")
	if !found || username == "" || len(username) > mostUsername {
		return named{}, true, false
	}
	n.username = login.NormalizeUsername(username)
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

// asCaller returns the principal as the management API knows it. A login ends soon, but that is no end of what the user may
// make: they log in again. An application token speaks for a program, and for no longer than it lives.
func (p principal) asCaller() desk.Caller {
	holds := grant.Authority{Roles: p.Roles, Permissions: p.Permissions, Ranges: p.Ranges}
	if p.Kind == token.Application || p.Kind == token.UserApplication {
		holds.End = p.ExpiresAt
	}
	return desk.Caller{ID: p.by(), Subject: p.Subject, Holds: holds, Escalates: p.holds(desk.PermissionEscalate)}
}

// payer returns whose budget a request is taken from: a user's, whichever of their credentials they come with, since they may
// have many; or that of an ApplicationToken, whichever its version.
func (p principal) payer() string {
	if p.User != nil {
		return "user " + p.User.Name
	}
	return "token " + p.Subject
}

// errRefused says that the answer was written.
var errRefused = errors.New("refused")

// principalOf says who calls, by whatever they present: a token in a header, or a name and a password. A cookie is not
// enough, since a browser sends it along with whatever any page asks it to. Where client is not empty, a user who comes by
// name is taken to be there. The error is errRefused, and then the answer was written.
func (d *Doors) principalOf(w http.ResponseWriter, r *http.Request, client string) (principal, error) {
	n, byName, readable := namedIn(r)
	p := credentialOf(r.Header)
	switch {
	case byName && (p.text != "" || p.many || !readable):
		unauthorized(w, basicFor(r))
		return principal{}, errRefused
	case byName:
		return d.byName(w, r, n, client)
	}
	who, verdict := d.ask(r.Context(), doorManage, p.text, verify.Facts{Session: presentedIn(r.Header).session}, d.origin(r))
	_, digest, err := token.DigestOf(p.text)
	switch {
	case verdict == verify.Good && err == nil:
		return principal{who, digest}, nil
	case verdict.Open():
		unavailable(w)
	case p.text == "" && !p.many:
		unauthorized(w, challenge)
	default:
		unauthorized(w, invalid)
	}
	return principal{}, errRefused
}

// byName checks a name and a password, for one request.
func (d *Doors) byName(w http.ResponseWriter, r *http.Request, n named, client string) (principal, error) {
	u, c, err := d.enterAt(w, r, n, client)
	if err != nil {
		d.failed(w, err, basicFor(r))
		return principal{}, errRefused
	}
	who, verdict := d.Verifier.As(u.Name, c.Name, d.source(r))
	d.Metrics.answered(doorManage, verdict, 0)
	switch {
	case verdict == verify.Good:
		return principal{Identity: who}, nil
	case verdict.Open():
		unavailable(w)
	default:
		unauthorized(w, basicFor(r))
	}
	return principal{}, errRefused
}

// enterAt is enter with the account_id in the query, if there is one. Where client is not empty, it must be that.
func (d *Doors) enterAt(w http.ResponseWriter, r *http.Request, n named, client string) (login.User, login.Client, error) {
	f, err := fields.Read(w, r, 0, fields.Query, fieldAccountID)
	if err != nil {
		return login.User{}, login.Client{}, err
	}
	u, c, err := d.enter(r, n, f, client)
	if err == nil && client != "" && c.Name != client {
		err = errElsewhere
	}
	return u, c, err
}

// errElsewhere says that the caller is known and has no business there, which is answered as if there was nothing.
var errElsewhere = errors.New("the user has no such account")

// fromElsewhere reports whether a browser sends a request for a page of another host: as it says itself, or, if it is an
// old one, by where the page is from. An old browser sends no Origin with a GET that follows a link or loads an image, but
// it sends a Referer. Programs send none of the three.
func fromElsewhere(r *http.Request) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return slices.ContainsFunc(site, func(s string) bool { return s != "same-origin" && s != "none" })
	}
	for _, name := range []string{"Origin", "Referer"} {
		if pages := r.Header[name]; len(pages) > 0 {
			return slices.ContainsFunc(pages, func(page string) bool { return hostOf(page) != r.Host })
		}
	}
	return false
}

// hostOf returns the host and port of the URL of a page; empty if it has none.
func hostOf(page string) string {
	_, host, _ := strings.Cut(page, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return host
}

// basicFor asks for a name and a password: a page that asks by itself not in a way at which the browser would, and keep the answer.
func basicFor(r *http.Request) []string {
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 && mode[0] != "navigate" || fromElsewhere(r) {
		return challenge
	}
	return basic
}

// unauthorized refuses somebody whom nobody knows, and says how to become known.
func unauthorized(w http.ResponseWriter, how []string) {
	w.Header()["Www-Authenticate"] = how
	problem(w, http.StatusUnauthorized, "unauthorized", "a token, or a name and a password, is required and was not accepted")
}
