package endpoint

import (
	"net/http"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/verify"
)

// VerdictRevoked is the audit verdict of a credential whose record was deleted before it expired.
// Callers and metrics see such a credential as unknown.
const VerdictRevoked = "Revoked"

// auditRefusedCredential writes an audit event for a refused credential. It names the record where
// this replica knows it or knew it before its deletion. Malformed credentials are counted in the
// metrics alone: any caller can send them without end, and they reveal nothing about a token.
func (b *Base) auditRefusedCredential(at Name, credential string, v verify.Verdict, from Origin) {
	if v == verify.Malformed || b.Audit == nil {
		return
	}
	line := audit.Line{
		Event: audit.CredentialRefused, Endpoint: Names[at], Verdict: v.String(),
		Source: from.Source, Peer: from.LimitAddress, SourceUnknown: from.Unknown.String(),
	}
	if k, ok := b.Verifier.Known(credential); ok {
		line.Token, line.Kind, line.Subject, line.Client, line.User = k.ID.String(), k.Kind.String(), k.Subject, k.Client, k.User
		// An Undecided credential is one that required a read of the API server that did not
		// happen.
		if k.Revoked && (v == verify.Unknown || v == verify.Undecided) {
			line.Event, line.Verdict = audit.CredentialRevokedUse, VerdictRevoked
		}
	}
	b.Audit.WriteLimited(line)
}

// AuditForbiddenCaller writes an audit event for an authenticated caller that was refused.
func (b *Base) AuditForbiddenCaller(r *http.Request, at Name, v verify.Verdict, who verify.Identity) {
	line := b.WithOrigin(r, audit.Line{
		Event: audit.CredentialRefused, Endpoint: Names[at], Verdict: v.String(), Subject: who.Subject, Client: who.Client.Name,
	})
	if who.ID != (verify.ID{}) { // zero for a caller with a name and password
		line.Token, line.Kind = who.ID.String(), who.Kind.String()
	}
	if who.User != nil {
		line.User = who.User.Name
	}
	b.Audit.WriteLimited(line)
}

// AuditRefusedPassword writes an audit event for a name and a password that were refused. It names
// the User that has the username, and nothing that the caller typed: an unknown username may be a
// password in the wrong field.
func (b *Base) AuditRefusedPassword(at Name, username string, v verify.Verdict, from Origin) {
	line := audit.Line{
		Event: audit.CredentialRefused, Endpoint: Names[at], Verdict: v.String(),
		Source: from.Source, Peer: from.LimitAddress, SourceUnknown: from.Unknown.String(),
	}
	if b.Passwords != nil {
		if u, ok := b.Passwords.Directory.ByUsername(username); ok {
			line.User = u.Name
		}
	}
	b.Audit.WriteLimited(line)
}
