package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// byHolder is the audit log's name for a caller that ended a login with a credential of that login.
const byHolder = "holder"

// mostPatience is how long a revocation or a management request waits for the API server.
const mostPatience = 5 * time.Second

// revoke serves token revocation (RFC 7009). A caller that presents a token may end it, whatever
// else the token permits. A caller that holds sec.token.revoke may end any token of its own client.
// A text that is no token, a token that is gone, and a token of another client get the same
// response.
func (d *Doors) revoke(w http.ResponseWriter, r *http.Request) {
	f, ok := form(w, r)
	if !ok {
		return
	}
	c := callerOf(r, f)
	kind, digest, err := token.DigestOf(f.Get("token"))
	if own := !c.many && (c.text == "" || c.text == f.Get("token")); !own {
		by, ok := d.authenticated(w, r, c, doorRevoke, permissionRevoke)
		switch {
		case !ok:
		case err != nil:
			done(w)
		default:
			d.budgetedRevocation(w, principal{Identity: by}.payer(), by.Client.Name, func() {
				if kind == token.Refresh {
					d.endRefresh(w, r, f.Get("token"), by.Client.Name, by.ID.String())
				} else {
					d.end(w, r, digest, by.Client.Name, by.ID)
				}
			})
		}
		return
	}
	if err != nil {
		done(w)
		return
	}
	if kind == token.Refresh {
		d.endRefresh(w, r, f.Get("token"), "", byHolder)
		return
	}
	switch _, verdict := d.ask(r.Context(), doorRevoke, f.Get("token"), c.facts(), d.origin(r)); {
	case verdict.Open():
		unavailable(w)
	case verdict == verify.Unknown: // the verifier has asked the API server: the record is gone
		done(w)
	case verdict == verify.ClientRefused:
		c.unauthenticated(w)
	default:
		client := digest.RecordName()
		// A tenant may hold many tokens, each with a budget of its own.
		if k, ok := d.Verifier.Known(f.Get("token")); ok {
			client = k.Client
		}
		d.budgetedRevocation(w, digest.RecordName(), client, func() {
			d.end(w, r, digest, "", verify.ID(digest[:len(verify.ID{})]))
		})
	}
}

// budgetedRevocation takes a revocation from the budget of its caller. A token that ends itself is
// its own caller.
func (d *Doors) budgetedRevocation(w http.ResponseWriter, caller, client string, revoke func()) {
	end, err := d.beginAs(caller, client)
	if err != nil {
		d.finish(w, err)
		return
	}
	defer end()
	revoke()
}

// endRefresh ends the session of a refresh token. If client is not empty, the session must be at
// that client.
func (d *Doors) endRefresh(w http.ResponseWriter, r *http.Request, text, client, by string) {
	presented, err := token.Parse(text)
	if err != nil || d.Logins == nil { // without logins there are no refresh tokens
		done(w)
		return
	}
	switch err := d.Logins.EndRefreshOf(r.Context(), presented, client, d.caller(r)); {
	case isLimited(err), errors.Is(err, login.ErrUnavailable):
		// A source that has no reads left gets here even for a token that does not exist.
		d.Audit.Limited(d.from(r, audit.Line{Event: audit.TokenRevocationFailed, Kind: token.Refresh.String(), By: by}))
		status, f := refusal(w, err)
		answer(w, status, f)
		return
	case err == nil:
		d.Audit.Write(d.from(r, audit.Line{Event: audit.LoginEnded, Protocol: protocolOf(r), Kind: token.Refresh.String(), By: by}))
	}
	done(w)
}

// isLimited reports whether a login error is a rate limit.
func isLimited(err error) bool {
	_, limited := errors.AsType[*login.Limited](err)
	return limited
}

// done writes the response to every revocation after which the token is not valid, or never was.
func done(w http.ResponseWriter) { answer(w, http.StatusOK, struct{}{}) }

// end deletes the record of a token. If client is not empty, the token must be one of that client.
// It reports success only after the deletion. An expired token is not valid anyway, and its record
// stays as the reason. A login is different: as long as it can be refreshed, it ends with all
// records of its session.
func (d *Doors) end(w http.ResponseWriter, r *http.Request, digest token.Digest, client string, by verify.ID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), mostPatience)
	defer cancel()
	rec, err := d.Records.Find(ctx, digest)
	switch {
	case errors.Is(err, record.ErrGone),
		err == nil && client != "" && rec.Client != client,
		err == nil && !isLogin(rec.Kind) && rec.Over(d.Now()):
		done(w)
		return
	case err == nil && isLogin(rec.Kind) && d.Logins != nil:
		if err = d.Logins.End(ctx, digest); errors.Is(err, login.ErrDenied) {
			err = nil // another request has ended it
		}
	case err == nil:
		err = d.Records.RetireAnyway(ctx, rec)
	}
	if err != nil {
		d.Log.Error(err, "revoke a token", "token", digest.RecordName())
		d.Audit.Limited(d.from(r, audit.Line{Event: audit.TokenRevocationFailed, Token: digest.RecordName(), By: by.String()}))
		unavailable(w)
		return
	}
	d.Verifier.End(digest)
	d.Audit.Write(d.from(r, audit.Line{
		Event: audit.TokenRevoked, Token: digest.RecordName(), Kind: rec.Kind.String(), Client: rec.Client, User: rec.User,
		Subject: strings.TrimPrefix(rec.Owner.Namespace+"/"+rec.Owner.Name, "/"),
		By:      by.String(),
	}))
	done(w)
}
