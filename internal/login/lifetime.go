package login

import (
	"fmt"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// bounds are the instants that the tokens of a login do not outlive. They are fixed when the
// password is presented, and each login that replaces another inherits them: no exchange makes a
// session longer. A zero instant is no bound.
type bounds struct {
	authenticated time.Time // when the password was presented
	session       time.Time // the end of every token of the session
	login         time.Time // the end of the login token
	refresh       time.Time // the end of the refresh token
}

// inheritedBounds returns the bounds for the login that replaces r at a client: those that r has.
// If r was written before records held bounds, they are those that it would have had. A policy that
// was lowered since applies at once; one that was raised does not apply.
func inheritedBounds(r record.Record, c Client) bounds {
	b := bounds{authenticated: r.Authenticated(), session: r.SessionEndsAt}
	return b.cutToPolicy(c)
}

// cutToPolicy returns the bounds, cut to the policy of a client.
func (b bounds) cutToPolicy(c Client) bounds {
	if c.MaxSessionLifetime > 0 {
		b.session = earliestEnd(b.session, b.authenticated.Add(c.MaxSessionLifetime))
	}
	return b
}

// cutToLogin returns the bounds, cut to what is left of a login. Its replacement at another client
// lives no longer.
func (b bounds) cutToLogin(r record.Record) bounds {
	b.login = r.ExpiresAt
	if r.Refresh == nil {
		b.session = earliestEnd(b.session, r.ExpiresAt)
		return b
	}
	b.refresh = r.Refresh.ExpiresAt
	last := r.ExpiresAt
	if b.refresh.After(last) {
		last = b.refresh
	}
	b.session = earliestEnd(b.session, last)
	return b
}

// isOver reports whether the session has ended.
func (b bounds) isOver(now time.Time) bool { return !b.session.IsZero() && !now.Before(b.session) }

// earliestEnd returns the first of several ends. A zero time is no end.
func earliestEnd(ends ...time.Time) (first time.Time) {
	for _, end := range ends {
		if first.IsZero() || !end.IsZero() && end.Before(first) {
			first = end
		}
	}
	return first
}

// checkTerms returns an error if a client does not let a user log in on these terms.
func (c Client) checkTerms(t Terms) error {
	switch {
	case t.Kind == token.Open && c.OpenPolicy == OpenForbidden:
		return &Forbidden{"this client gives no open tokens; ask for a session token"}
	case t.Kind == token.Open && t.Lifetime <= 0 && c.OpenPolicy != OpenAllowed:
		return &Forbidden{"this client gives no open tokens without an end; ask for one with a time-to-live of more than 0 minutes"}
	case t.Kind == token.Open && c.MaxOpenLifetime > 0 && (t.Lifetime <= 0 || t.Lifetime > c.MaxOpenLifetime):
		return &Forbidden{fmt.Sprintf("the longest time-to-live of an open token of this client is %d minutes, by its logins.maxOpenLifetime; ask for one that is not longer", int64(c.MaxOpenLifetime/time.Minute))}
	case t.Kind == token.Session && !t.Source.IsValid():
		return &Forbidden{"where this request comes from is not known, and a session token is good from there alone"}
	default:
		return nil
	}
}
