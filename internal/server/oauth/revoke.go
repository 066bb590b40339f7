package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// RecordStore is the part of the record store that revocation needs.
type RecordStore interface {
	// Find returns the record of a digest, or record.ErrGone.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
	// RetireAnyway deletes a record.
	RetireAnyway(ctx context.Context, r record.Record) error
}

// revoke serves token revocation (RFC 7009). A caller that presents a token may end it, whatever
// else the token permits. So may an OAuth client, if the token is one of that client: libraries
// authenticate it on each request. A caller that holds sec.token.revoke may end any token of its
// own client. A text that is no token, a token that is gone, and a token of another client get the
// same response.
func (h *Handlers) revoke(w http.ResponseWriter, r *http.Request) {
	req, ok := readTokenRequest(w, r)
	if !ok {
		return
	}
	c := req.caller
	kind, digest, err := token.DigestOf(req.token)
	if own := !c.IsAmbiguous && (c.Text == "" || c.Text == req.token); !own {
		by, ok := h.authenticateCaller(w, r, c, endpoint.Revoke, c.revocationPermission())
		switch {
		case !ok:
		case err != nil:
			endpoint.WriteRevoked(w)
		default:
			h.revokeWithinBudget(w, endpoint.Principal{Identity: by}.BudgetKey(), by.Client.Name, func() {
				if kind == token.Refresh {
					h.endRefreshSession(w, r, req.token, by.Client.Name, by.ID.String())
				} else {
					h.deleteRecord(w, r, digest, by.Client.Name, by.ID)
				}
			})
		}
		return
	}
	if err != nil {
		endpoint.WriteRevoked(w)
		return
	}
	if kind == token.Refresh {
		h.endRefreshSession(w, r, req.token, "", loginapi.ByHolder)
		return
	}
	switch _, verdict := h.VerifyCredential(r.Context(), endpoint.Revoke, req.token, c.facts(), h.Origin(r)); {
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	case verdict == verify.Unknown: // the verifier has asked the API server: the record is gone
		endpoint.WriteRevoked(w)
	case verdict == verify.ClientRefused:
		c.writeUnauthenticated(w)
	default:
		client := digest.RecordName()
		// A tenant may hold many tokens, each with a budget of its own.
		if k, ok := h.Verifier.Known(req.token); ok {
			client = k.Client
		}
		h.revokeWithinBudget(w, digest.RecordName(), client, func() {
			h.deleteRecord(w, r, digest, "", verify.ID(digest[:len(verify.ID{})]))
		})
	}
}

// revocationPermission returns the permission that a caller needs to revoke a token that is not its
// own credential; empty: none.
func (c oauthCaller) revocationPermission() string {
	if c.hasName {
		return ""
	}
	return permissionRevoke
}

// revokeWithinBudget takes a revocation from the budget of its caller. A token that ends itself is
// its own caller.
func (h *Handlers) revokeWithinBudget(w http.ResponseWriter, caller, client string, revoke func()) {
	end, err := h.AcquireBudgetAs(caller, client)
	if err != nil {
		endpoint.WriteBudgetExceeded(w, err)
		return
	}
	defer end()
	revoke()
}

// endRefreshSession ends the session of a refresh token. If client is not empty, the session must
// be at that client.
func (h *Handlers) endRefreshSession(w http.ResponseWriter, r *http.Request, text, client, by string) {
	presented, err := token.Parse(text)
	if err != nil || h.Service == nil { // without logins there are no refresh tokens
		endpoint.WriteRevoked(w)
		return
	}
	switch err := h.Service.EndRefreshOf(r.Context(), presented, client, h.LimitAddress(r)); {
	case isRateLimited(err), errors.Is(err, login.ErrUnavailable):
		// A source that has no reads left gets here even for a token that does not exist.
		h.Audit.WriteLimited(h.WithOrigin(r, audit.Line{Event: audit.TokenRevocationFailed, Kind: token.Refresh.String(), By: by}))
		status, f := loginapi.LoginFault(w, err)
		endpoint.WriteJSON(w, status, f)
		return
	case err == nil:
		h.Audit.Write(h.WithOrigin(r, audit.Line{Event: audit.LoginEnded, Protocol: loginapi.ProtocolOf(r), Kind: token.Refresh.String(), By: by}))
	}
	endpoint.WriteRevoked(w)
}

// isRateLimited reports whether a login error is a rate limit.
func isRateLimited(err error) bool {
	_, limited := errors.AsType[*login.Limited](err)
	return limited
}

// deleteRecord deletes the record of a token. If client is not empty, the token must be one of that
// client. It reports success only after the deletion. An expired token is not valid anyway, and its
// record stays as the reason. A login is different: as long as it can be refreshed, it ends with
// all records of its session.
func (h *Handlers) deleteRecord(w http.ResponseWriter, r *http.Request, digest token.Digest, client string, by verify.ID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endpoint.MaxAPIWait)
	defer cancel()
	rec, err := h.Records.Find(ctx, digest)
	switch {
	case errors.Is(err, record.ErrGone),
		err == nil && client != "" && rec.Client != client,
		err == nil && !loginapi.IsLogin(rec.Kind) && rec.IsOver(h.Now()):
		endpoint.WriteRevoked(w)
		return
	case err == nil && loginapi.IsLogin(rec.Kind) && h.Service != nil:
		if err = h.Service.End(ctx, digest); errors.Is(err, login.ErrDenied) {
			err = nil // another request has ended it
		}
	case err == nil:
		err = h.Records.RetireAnyway(ctx, rec)
	}
	if err != nil {
		h.Log.Error(err, "revoke a token", "token", digest.RecordName())
		h.Audit.WriteLimited(h.WithOrigin(r, audit.Line{Event: audit.TokenRevocationFailed, Token: digest.RecordName(), By: by.String()}))
		endpoint.WriteUnavailable(w)
		return
	}
	h.Verifier.End(digest)
	h.Audit.Write(h.WithOrigin(r, audit.Line{
		Event: audit.TokenRevoked, Token: digest.RecordName(), Kind: rec.Kind.String(), Client: rec.Client, User: rec.User,
		Subject: strings.TrimPrefix(rec.Owner.Namespace+"/"+rec.Owner.Name, "/"),
		By:      by.String(),
	}))
	endpoint.WriteRevoked(w)
}
