package server

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server/ui"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// recordStore is the part of the record store that revocation needs.
type recordStore interface {
	// Find returns the record of a digest, or record.ErrGone.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
	// RetireAnyway deletes a record.
	RetireAnyway(ctx context.Context, r record.Record) error
}

// Endpoints serves the verification, login and management endpoints.
type Endpoints struct {
	Verifier      *verify.Verifier
	Records       recordStore
	Trusted       []netip.Prefix // proxies whose headers name the address of a caller
	UsesForwarded bool           // the proxies send Forwarded (RFC 7239) instead of X-Forwarded-For
	Audiences     []string       // audiences of the operator's tokens in TokenReviews; empty means none
	Issuer        string         // URL under which callers reach the operator; for empty see issuer
	InFlight      *InFlight      // nil means no limit
	// IsOwnName reports whether the serving certificate names exactly this host. nil means it names
	// none.
	IsOwnName func(host string) bool
	Audit     *audit.Log  // receives refusals and changes
	Log       logr.Logger // receives requests that failed because of the operator
	Metrics   *Metrics
	Now       func() time.Time

	Logins        *login.Service                // nil disables logins
	Management    management.API                // nil disables the management API
	Budget        *Budget                       // for use of the API server; nil means default limits
	OnLoginResult func(protocol, result string) // called with the result of a login; may be nil
}

// Handler returns the handler of all HTTP endpoints but the TokenReview webhook.
func (d *Endpoints) Handler() http.Handler {
	if d.Budget == nil {
		d.Budget = NewBudget(BudgetOptions{})
	}
	all := newRoutes(d.operations())
	if d.Logins != nil {
		all.apiUI = ui.Handler()
	}
	all.verifyByPath = d.forwardAuthByPath
	return d.limitInFlight(all, isVerify)
}

// WebhookHandler returns the handler of the TokenReview webhook, which kube-apiservers call.
func (d *Endpoints) WebhookHandler() http.Handler {
	all := newRoutes([]operation{{method: http.MethodPost, path: "/tokenreview", serve: d.tokenReview}})
	return d.limitInFlight(all, func(string) bool { return true })
}

// verifyCredential verifies a credential that was presented to an endpoint from an origin. It
// records the verdict and the duration in the metrics, and writes refusals to the audit log.
func (d *Endpoints) verifyCredential(ctx context.Context, at endpoint, credential string, f verify.Facts, from origin) (verify.Identity, verify.Verdict) {
	began := d.Now()
	f.Source, f.Caller = from.source, from.limitAddress
	who, v := d.Verifier.Verify(ctx, credential, f)
	d.Metrics.observe(at, v, d.Now().Sub(began))
	if v == verify.Valid {
		markConnAuthenticated(ctx)
	} else {
		d.auditRefusedCredential(at, credential, v, from)
	}
	return who, v
}
