package server

import (
	"net/http"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/verify"
)

// verdictRevoked is the verdict in the audit log on a credential whose record was deleted before its end. To the caller, and
// in the metrics, it is one that never was.
const verdictRevoked = "Revoked"

// refused writes the refusal of a credential to the audit log, and names its record where that is or was known. What is no
// credential at all is in the metrics alone: anybody can send it without end, and it says nothing of a token.
func (d *Doors) refused(at door, credential string, v verify.Verdict, from origin) {
	if v == verify.Malformed || d.Audit == nil {
		return
	}
	line := audit.Line{
		Event: audit.CredentialRefused, Endpoint: doors[at], Verdict: v.String(),
		Source: from.source, Peer: from.limited, SourceUnknown: from.unknown.String(),
	}
	if k, ok := d.Verifier.Known(credential); ok {
		line.Token, line.Kind, line.Subject, line.Client, line.User = k.ID.String(), k.Kind.String(), k.Subject, k.Client, k.User
		// Undecided is a credential that the API server was to be asked about, and was not.
		if k.Revoked && (v == verify.Unknown || v == verify.Undecided) {
			line.Event, line.Verdict = audit.CredentialRevokedUse, verdictRevoked
		}
	}
	d.Audit.Limited(line)
}

// forbidden writes the refusal of a caller who is known to the audit log.
func (d *Doors) forbidden(r *http.Request, at door, v verify.Verdict, who verify.Identity) {
	line := d.from(r, audit.Line{
		Event: audit.CredentialRefused, Endpoint: doors[at], Verdict: v.String(), Subject: who.Subject, Client: who.Client.Name,
	})
	if who.ID != (verify.ID{}) { // and not by name and password
		line.Token, line.Kind = who.ID.String(), who.Kind.String()
	}
	if who.User != nil {
		line.User = who.User.Name
	}
	d.Audit.Limited(line)
}
