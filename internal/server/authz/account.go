package authz

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/apptoken/operator/internal/login"
)

// maxAccountID is the largest account ID: the largest integer that every JSON parser reads exactly.
const maxAccountID = 1<<53 - 1

var (
	errAccountID       = errors.New("the account_id in the query is no account ID, or not the only one")
	errAccountRequired = errors.New("an integrator must name an account_id")
)

// accountChoice returns which account a request is for. An account_id in the query decides. Next
// comes the client that the gateway requires, and last the user's default account. An integrator
// must name an account_id.
func accountChoice(p *heldRequest, isIntegrator bool) (at login.AccountChoice, err error) {
	if at.ID, err = accountIDIn(p.query); err != nil {
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
