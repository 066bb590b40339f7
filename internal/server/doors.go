package server

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server/ui"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// store is what revocation needs of the records.
type store interface {
	// Find reads the record of a digest. record.ErrGone if there is none.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
	// RetireAnyway deletes a record.
	RetireAnyway(ctx context.Context, r record.Record) error
}

// Doors answer questions about credentials.
type Doors struct {
	Verifier  *verify.Verifier
	Records   store
	Trusted   []netip.Prefix // proxies whose word about the address of a caller is taken
	Forwarded bool           // they name it in Forwarded (RFC 7239), and not in X-Forwarded-For
	Audiences []string       // of our tokens at kube-apiservers; empty: they have none
	Issuer    string         // URL under which callers reach us, for metadata; empty: see issuer
	InFlight  *InFlight      // nil: there is no bound
	// IsOwnName reports whether the serving certificate is for a host by exactly that name; nil: it is for none.
	IsOwnName func(host string) bool
	Audit     *audit.Log  // of refusals and changes
	Log       logr.Logger // of requests that failed here
	Metrics   *Metrics
	Now       func() time.Time

	Logins  *login.Service                // nil: nobody logs in here
	Desk    desk.Desk                     // nil: no application tokens are made here
	Budget  *Budget                       // of what callers have read from the API server, or written to it; nil: that of the defaults
	Counted func(protocol, result string) // is told how each login ended; nil: nobody is
}

// Handler serves the doors that gateways, resource servers and holders ask.
func (d *Doors) Handler() http.Handler {
	if d.Budget == nil {
		d.Budget = NewBudget(BudgetOptions{})
	}
	all := newRoutes(d.operations())
	if d.Logins != nil {
		all.pages = ui.Handler()
	}
	all.verifyByPath = d.forwardAuthByPath
	return d.within(all, isVerify)
}

// WebhookHandler serves the door that kube-apiservers ask.
func (d *Doors) WebhookHandler() http.Handler {
	all := newRoutes([]operation{{method: http.MethodPost, path: "/tokenreview", serve: d.tokenReview}})
	return d.within(all, func(string) bool { return true })
}

// ask verifies for a door a credential that was presented from somewhere. It counts the answer, and writes refusals to the
// audit log.
func (d *Doors) ask(ctx context.Context, at door, credential string, f verify.Facts, from origin) (verify.Identity, verify.Verdict) {
	began := d.Now()
	f.Source, f.Caller = from.source, from.limited
	who, v := d.Verifier.Verify(ctx, credential, f)
	d.Metrics.answered(at, v, d.Now().Sub(began))
	if v == verify.Good {
		acceptedOn(ctx)
	} else {
		d.refused(at, credential, v, from)
	}
	return who, v
}
