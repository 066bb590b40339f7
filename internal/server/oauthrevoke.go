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

// maxAPIWait is how long a revocation or a management request waits for the API server.
const maxAPIWait = 5 * time.Second

// revoke serves token revocation (RFC 7009). A caller that presents a token may end it, whatever
// else the token permits. A caller that holds sec.token.revoke may end any token of its own client.
// A text that is no token, a token that is gone, and a token of another client get the same
// response.
func (d *Endpoints) revoke(w http.ResponseWriter, r *http.Request) {
	f, ok := form(w, r)
	if !ok {
		return
	}
	c := oauthCallerOf(r, f)
	kind, digest, err := token.DigestOf(f.Get("token"))
	if own := !c.isAmbiguous && (c.text == "" || c.text == f.Get("token")); !own {
		by, ok := d.authenticateCaller(w, r, c, endpointRevoke, permissionRevoke)
		switch {
		case !ok:
		case err != nil:
			writeRevoked(w)
		default:
			d.revokeWithinBudget(w, principal{Identity: by}.budgetKey(), by.Client.Name, func() {
				if kind == token.Refresh {
					d.endRefreshSession(w, r, f.Get("token"), by.Client.Name, by.ID.String())
				} else {
					d.deleteRecord(w, r, digest, by.Client.Name, by.ID)
				}
			})
		}
		return
	}
	if err != nil {
		writeRevoked(w)
		return
	}
	if kind == token.Refresh {
		d.endRefreshSession(w, r, f.Get("token"), "", byHolder)
		return
	}
	switch _, verdict := d.verifyCredential(r.Context(), endpointRevoke, f.Get("token"), c.facts(), d.origin(r)); {
	case verdict.IsUndecided():
		writeUnavailable(w)
	case verdict == verify.Unknown: // the verifier has asked the API server: the record is gone
		writeRevoked(w)
	case verdict == verify.ClientRefused:
		c.writeUnauthenticated(w)
	default:
		client := digest.RecordName()
		// A tenant may hold many tokens, each with a budget of its own.
		if k, ok := d.Verifier.Known(f.Get("token")); ok {
			client = k.Client
		}
		d.revokeWithinBudget(w, digest.RecordName(), client, func() {
			d.deleteRecord(w, r, digest, "", verify.ID(digest[:len(verify.ID{})]))
		})
	}
}

// revokeWithinBudget takes a revocation from the budget of its caller. A token that ends itself is
// its own caller.
func (d *Endpoints) revokeWithinBudget(w http.ResponseWriter, caller, client string, revoke func()) {
	end, err := d.acquireBudgetAs(caller, client)
	if err != nil {
		d.writeManagementError(w, err)
		return
	}
	defer end()
	revoke()
}

// endRefreshSession ends the session of a refresh token. If client is not empty, the session must
// be at that client.
func (d *Endpoints) endRefreshSession(w http.ResponseWriter, r *http.Request, text, client, by string) {
	presented, err := token.Parse(text)
	if err != nil || d.Logins == nil { // without logins there are no refresh tokens
		writeRevoked(w)
		return
	}
	switch err := d.Logins.EndRefreshOf(r.Context(), presented, client, d.limitAddress(r)); {
	case isRateLimited(err), errors.Is(err, login.ErrUnavailable):
		// A source that has no reads left gets here even for a token that does not exist.
		d.Audit.WriteLimited(d.withOrigin(r, audit.Line{Event: audit.TokenRevocationFailed, Kind: token.Refresh.String(), By: by}))
		status, f := loginFault(w, err)
		writeJSON(w, status, f)
		return
	case err == nil:
		d.Audit.Write(d.withOrigin(r, audit.Line{Event: audit.LoginEnded, Protocol: protocolOf(r), Kind: token.Refresh.String(), By: by}))
	}
	writeRevoked(w)
}

// isRateLimited reports whether a login error is a rate limit.
func isRateLimited(err error) bool {
	_, limited := errors.AsType[*login.Limited](err)
	return limited
}

// writeRevoked writes the response to every revocation after which the token is not valid, or never
// was.
func writeRevoked(w http.ResponseWriter) { writeJSON(w, http.StatusOK, struct{}{}) }

// deleteRecord deletes the record of a token. If client is not empty, the token must be one of that
// client. It reports success only after the deletion. An expired token is not valid anyway, and its
// record stays as the reason. A login is different: as long as it can be refreshed, it ends with
// all records of its session.
func (d *Endpoints) deleteRecord(w http.ResponseWriter, r *http.Request, digest token.Digest, client string, by verify.ID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), maxAPIWait)
	defer cancel()
	rec, err := d.Records.Find(ctx, digest)
	switch {
	case errors.Is(err, record.ErrGone),
		err == nil && client != "" && rec.Client != client,
		err == nil && !isLogin(rec.Kind) && rec.IsOver(d.Now()):
		writeRevoked(w)
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
		d.Audit.WriteLimited(d.withOrigin(r, audit.Line{Event: audit.TokenRevocationFailed, Token: digest.RecordName(), By: by.String()}))
		writeUnavailable(w)
		return
	}
	d.Verifier.End(digest)
	d.Audit.Write(d.withOrigin(r, audit.Line{
		Event: audit.TokenRevoked, Token: digest.RecordName(), Kind: rec.Kind.String(), Client: rec.Client, User: rec.User,
		Subject: strings.TrimPrefix(rec.Owner.Namespace+"/"+rec.Owner.Name, "/"),
		By:      by.String(),
	}))
	writeRevoked(w)
}
