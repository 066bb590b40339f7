package endpoint

import (
	"context"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/cors"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/verify"
)

// Base is shared by all endpoints: it verifies credentials, finds the address that a request comes
// from, and writes refusals to the audit log.
type Base struct {
	Verifier      *verify.Verifier
	Trusted       []netip.Prefix // proxies whose headers name the address of a caller
	UsesForwarded bool           // the proxies send Forwarded (RFC 7239) instead of X-Forwarded-For
	Issuer        string         // URL under which callers reach the operator; for empty see issuer
	Origins       cors.Origins   // whose pages may call the operator from a browser
	// PassPreflights is set if /verify and ext_authz pass preflights of a trusted proxy.
	PassPreflights bool
	// IsOwnName reports whether the serving certificate names exactly this host. nil means it names
	// none.
	IsOwnName func(host string) bool
	Budget    *Budget     // for use of the API server; nil means default limits
	Audit     *audit.Log  // receives refusals and changes
	Log       logr.Logger // receives requests that failed because of the operator
	Metrics   *Metrics
	Now       func() time.Time
	// Passwords checks the passwords of users at verification endpoints; nil means that there are
	// none.
	Passwords *login.Service
	// AdmitsPasswordCheck reports whether a request of a gateway may wait for a password check. nil
	// means that it may.
	AdmitsPasswordCheck func() bool
}

// VerifyCredential verifies a credential that was presented to an endpoint from an origin. It
// records the verdict and the duration in the metrics, and writes refusals to the audit log.
func (b *Base) VerifyCredential(ctx context.Context, at Name, credential string, f verify.Facts, from Origin) (verify.Identity, verify.Verdict) {
	began := b.Now()
	f.Source, f.Caller = from.Source, from.LimitAddress
	who, v := b.Verifier.Verify(ctx, credential, f)
	b.Metrics.Observe(at, v, b.Now().Sub(began))
	if v == verify.Valid {
		MarkConnAuthenticated(ctx)
	} else {
		b.auditRefusedCredential(at, credential, v, from)
	}
	return who, v
}

// BasicToken is a token that is presented as the password of a name.
type BasicToken struct {
	Username, Text string
	Facts          verify.Facts
}

// VerifyBasicToken verifies a token that was presented as a password. Its client must allow this,
// and the username must name the token.
func (b *Base) VerifyBasicToken(ctx context.Context, at Name, t BasicToken, from Origin) (verify.Identity, verify.Verdict) {
	if t.Username == "" { // it names nothing, and to the verifier it would be no Basic
		b.Metrics.Observe(at, verify.UsernameRefused, 0)
		return verify.Identity{}, verify.UsernameRefused
	}
	t.Facts.BasicUsername = t.Username
	return b.VerifyCredential(ctx, at, t.Text, t.Facts, from)
}
