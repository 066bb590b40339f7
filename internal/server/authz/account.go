package authz

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/apptoken/operator/internal/login"
)

// maxAccountID is the largest account ID: the largest integer that every JSON parser reads exactly.
const maxAccountID = 1<<53 - 1

var (
	errAccountID       = errors.New("the account_id in a query is no account ID, or not the only one")
	errAccountRequired = errors.New("an integrator must name an account_id")
)

// accountChoice returns which account a request is for. An account_id in the query decides, or one
// in the query of the original request. Next comes the client that the gateway requires, and last
// the user's default account. An integrator must name an account_id.
func accountChoice(p *heldRequest, isIntegrator bool) (at login.AccountChoice, err error) {
	at.ID, err = accountIDIn(p.query)
	if err == nil && at.ID == 0 {
		at.ID, err = accountIDIn(originalQuery(p.header))
	}
	if err != nil {
		return login.AccountChoice{}, err
	}
	if at.ID == 0 && isIntegrator {
		return login.AccountChoice{}, errAccountRequired
	}
	if len(p.facts.Clients) > 0 {
		at.Preferred = p.facts.Clients[0]
	}
	return at, nil
}

// originalQuery returns the query of a request that a gateway names in a header, as Traefik and
// Caddy do. A caller may forge the header where the gateway does not set it. That only selects
// among the caller's own accounts, as the query does. The gateway's requirements are checked in any
// case.
func originalQuery(h http.Header) string {
	for _, name := range [...]string{"X-Forwarded-Uri", "X-Original-Uri", "X-Original-Url"} {
		if values := h[name]; len(values) == 1 {
			_, query, _ := strings.Cut(values[0], "?")
			return query
		}
	}
	return ""
}

// accountIDIn returns the account_id in a query, or 0 if there is none. An empty one is none. It
// ignores parameters that it cannot read: the query is that of another program.
func accountIDIn(query string) (id int64, err error) {
	isThere := false
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != "account_id" || value == "" {
			continue
		}
		text, err := url.QueryUnescape(value)
		if err != nil || isThere {
			return 0, errAccountID
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || n > maxAccountID || strconv.FormatInt(n, 10) != text {
			return 0, errAccountID
		}
		id, isThere = n, true
	}
	return id, nil
}
