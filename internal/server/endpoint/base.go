package endpoint

import (
	"context"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/cors"
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
	// PassPreflights is set if /verify and ext_authz pass preflights that a trusted proxy holds back.
	PassPreflights bool
	// IsOwnName reports whether the serving certificate names exactly this host. nil means it names
	// none.
	IsOwnName func(host string) bool
	Budget    *Budget     // for use of the API server; nil means default limits
	Audit     *audit.Log  // receives refusals and changes
	Log       logr.Logger // receives requests that failed because of the operator
	Metrics   *Metrics
	Now       func() time.Time
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
