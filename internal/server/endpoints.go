package server

import (
	"net/http"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/ui"
)

// Endpoints serves the verification, login and management endpoints.
type Endpoints struct {
	Base
	Records       recordStore
	Audiences     []string                      // audiences of the operator's tokens in TokenReviews; empty means none
	InFlight      *InFlight                     // nil means no limit
	Logins        *login.Service                // nil disables logins
	Management    management.API                // nil disables the management API
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
	all.verifyByPath = d.authz().forwardAuthByPath
	return d.limitInFlight(all, isVerify)
}

// WebhookHandler returns the handler of the TokenReview webhook, which kube-apiservers call.
func (d *Endpoints) WebhookHandler() http.Handler {
	all := newRoutes([]operation{{method: http.MethodPost, path: "/tokenreview", serve: d.authz().tokenReview}})
	return d.limitInFlight(all, func(string) bool { return true })
}

func (d *Endpoints) authz() *Authz { return &Authz{Base: &d.Base, Audiences: d.Audiences} }

func (d *Endpoints) logins() *Logins {
	return &Logins{Base: &d.Base, Service: d.Logins, OnResult: d.OnLoginResult}
}
