package authz

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/verify"
)

// gateway decides about the requests that gateways hold back, for one endpoint.
type gateway struct {
	*endpoint.Base
	at endpoint.Name
}

// heldRequest is a request that a gateway holds back, with what the gateway requires.
type heldRequest struct {
	endpoint.Credentials
	facts  verify.Facts
	from   endpoint.Origin
	header http.Header
	host   string // that the caller asked for
	query  string // may name the account of a user
}

// asHTTP returns the request as its caller sent it, for questions about the caller's browser.
func (p *heldRequest) asHTTP() *http.Request { return &http.Request{Header: p.header, Host: p.host} }

// decision is the decision about a held request.
type decision struct {
	who     verify.Identity
	verdict verify.Verdict
	isBasic bool          // a name and a password decided
	after   time.Duration // how long a limited caller should wait
}

// decide verifies the credential of a request. A token is verified, and nothing replaces a token
// that is rejected. A name and a password count where there is no token, and any client allows
// them.
func (g gateway) decide(ctx context.Context, p *heldRequest) decision {
	if p.Basic != "" && g.Verifier.AllowsBasic() && !endpoint.IsCrossSite(p.asHTTP()) {
		return g.decideBasic(ctx, p)
	}
	p.facts.Session = p.Session
	who, verdict := g.VerifyCredential(ctx, g.at, p.Text, p.facts, p.from)
	return decision{who: who, verdict: verdict}
}

// decideBasic verifies a name and a password, or a token in place of the password.
func (g gateway) decideBasic(ctx context.Context, p *heldRequest) decision {
	c, ok := endpoint.ParseBasic(p.Basic)
	if !ok {
		return g.observePassword(p, g.Now(), decision{verdict: verify.Malformed, isBasic: true}, "")
	}
	if username, text, isToken := c.Token(); isToken {
		who, verdict := g.VerifyBasicToken(ctx, g.at, endpoint.BasicToken{Username: username, Text: text, Facts: p.facts}, p.from)
		return decision{who: who, verdict: verdict, isBasic: true}
	}
	began := g.Now()
	n, ok := c.Password()
	if !ok || g.Passwords == nil {
		return g.observePassword(p, began, decision{verdict: verify.Malformed, isBasic: true}, "")
	}
	d := g.decidePassword(ctx, p, n)
	if d.verdict == verify.Valid {
		endpoint.MarkConnAuthenticated(ctx)
	}
	return g.observePassword(p, began, d, n.Username)
}

// decidePassword verifies a name and a password. The user, the account and the client are evaluated
// at each request, whether or not the password was checked recently.
func (g gateway) decidePassword(ctx context.Context, p *heldRequest, n endpoint.PasswordCredentials) decision {
	d := decision{verdict: verify.Stale, isBasic: true}
	if !g.Verifier.IsFresh() { // the directory of users may be as stale as the index
		return d
	}
	at, accountErr := accountChoice(p, n.IsIntegrator)
	u, client, err := g.Passwords.AuthenticateAt(ctx, login.Attempt{
		Username: n.Username, Password: n.Secret, Source: p.from.LimitAddress, Admits: g.AdmitsPasswordCheck,
	}, at)
	d.verdict = verdictOf(err)
	if limited, isLimited := errors.AsType[*login.Limited](err); isLimited {
		d.after = limited.After
	}
	if d.verdict == verify.Valid && accountErr != nil {
		d.verdict = verify.AccountRefused
	}
	if d.verdict != verify.Valid {
		return d
	}
	d.who, d.verdict = g.Verifier.PasswordIdentity(u.Name, client, p.from.Source)
	switch {
	case d.verdict != verify.Valid:
	case d.who.Owner.UID != u.UID: // another User of the same name
		d.verdict = verify.UserDisabled
	case !d.who.Client.AllowsBasic:
		d.verdict = verify.BasicForbidden
	default:
		d.verdict = verify.CheckRequirements(d.who.Held, p.facts)
	}
	return d
}

// verdictOf returns the verdict for the result of AuthenticateAt.
func verdictOf(err error) verify.Verdict {
	_, isLimited := errors.AsType[*login.Limited](err)
	_, isInvalid := errors.AsType[*login.Invalid](err)
	_, isForbidden := errors.AsType[*login.Forbidden](err)
	switch {
	case err == nil:
		return verify.Valid
	case isLimited:
		return verify.AttemptsLimited
	case isInvalid || isForbidden:
		return verify.AccountRefused
	case errors.Is(err, login.ErrDenied):
		return verify.PasswordRefused
	default:
		return verify.Undecided
	}
}

// observePassword observes the decision about a name and a password, and returns it.
func (g gateway) observePassword(p *heldRequest, began time.Time, d decision, username string) decision {
	g.Metrics.Observe(g.at, d.verdict, g.Now().Sub(began))
	if d.verdict != verify.Valid && d.verdict != verify.Malformed {
		g.AuditRefusedPassword(g.at, username, d.verdict, p.from)
	}
	return d
}

// refusal is the response to a request that is refused.
type refusal struct {
	status            int
	code, description string
	challenges        []string
	retryAfter        string
}

// refuse returns the response to a refused request. Gateways know the statuses 401 and 403, and
// some turn any other one into an error of their own. So a caller beyond its limits gets a 401 too.
func (g gateway) refuse(p *heldRequest, d decision) refusal {
	switch {
	case d.verdict == verify.Stale, d.verdict == verify.Undecided && d.isBasic:
		// Stale concerns all credentials, and a password that cannot be checked now may be right.
		// Undecided otherwise concerns one unknown token, and is a 401.
		return refusal{
			status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retryAfter: endpoint.RetryAfterSoon[0],
			description: "the operator cannot decide now; try again",
		}
	case d.verdict == verify.AccountRefused:
		return refusal{
			status: http.StatusForbidden, code: "access_denied", challenges: endpoint.InsufficientScopeChallenge,
			description: "the user has no such account here; name one of the user's accounts by its account_id in the query",
		}
	case d.verdict.IsForbidden():
		r := refusal{
			status: http.StatusForbidden, code: "insufficient_scope", challenges: endpoint.InsufficientScopeChallenge,
			description: "the token is valid, and lacks what is required here",
		}
		if d.isBasic {
			r.description = "the name and the password are valid, and lack what is required here"
		}
		return r
	case d.isBasic:
		r := refusal{
			status: http.StatusUnauthorized, code: "unauthorized", challenges: endpoint.PasswordChallenge(p.asHTTP()),
			description: "the name and the password are not accepted",
		}
		if d.verdict == verify.AttemptsLimited {
			r.description, r.retryAfter = "too many attempts; wait, and try again", endpoint.RetryAfterSeconds(d.after)
		}
		return r
	case p.Text == "" && !p.IsAmbiguous:
		r := refusal{status: http.StatusUnauthorized, code: "unauthorized", challenges: endpoint.BearerChallenge, description: "a token is required"}
		if g.Verifier.AllowsBasic() {
			r.challenges = endpoint.TokenOrPasswordChallenge(p.asHTTP())
		}
		return r
	default:
		return refusal{
			status: http.StatusUnauthorized, code: "invalid_token", challenges: endpoint.InvalidTokenChallenge,
			description: "the token is not accepted",
		}
	}
}
