package server

import (
	"net/http"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/authz"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/server/oauth"
	"github.com/apptoken/operator/internal/server/ui"
)

// Endpoints serves the verification, login and management endpoints.
type Endpoints struct {
	endpoint.Base
	Records       oauth.RecordStore
	Audiences     []string                      // audiences of the operator's tokens in TokenReviews; empty means none
	InFlight      *InFlight                     // nil means no limit
	Logins        *login.Service                // nil disables logins
	Management    management.API                // nil disables the management API
	OnLoginResult func(protocol, result string) // called with the result of a login; may be nil
	// LoginCredentialsInURL accepts a username and a password in the URL of Funnelback's login.
	LoginCredentialsInURL bool
}

// Handler returns the handler of all HTTP endpoints but the TokenReview webhook.
func (e *Endpoints) Handler() http.Handler {
	all := newRoutes(e.operations())
	if e.Logins != nil {
		all.apiUI = ui.Handler()
	}
	all.verifyByPath, all.servePage = e.authz().ForwardAuthByPath, e.servePage
	served := e.allowOrigins(e.limitInFlight(all, authz.IsVerify))
	return e.BelowIssuerPath(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.ServeHTTP(endpoint.WithFaultFormat(w, r.URL.Path), r)
	}))
}

// WebhookHandler returns the handler of the TokenReview webhook, which kube-apiservers call.
func (e *Endpoints) WebhookHandler() http.Handler {
	all := newRoutes([]endpoint.Operation{{Method: http.MethodPost, Path: "/tokenreview", Serve: e.authz().TokenReview}})
	return e.limitInFlight(all, func(string) bool { return true })
}

// base returns the base of all endpoints, with defaults for what is not set.
func (e *Endpoints) base() *endpoint.Base {
	if e.Budget == nil {
		e.Budget = endpoint.NewBudget(endpoint.BudgetOptions{})
	}
	if e.Passwords == nil {
		e.Passwords = e.Logins
	}
	if e.AdmitsPasswordCheck == nil {
		e.AdmitsPasswordCheck = e.InFlight.admitsWait
	}
	return &e.Base
}

func (e *Endpoints) authz() *authz.Handlers {
	return &authz.Handlers{Base: e.base(), Audiences: e.Audiences}
}

func (e *Endpoints) logins() *loginapi.Logins {
	return &loginapi.Logins{Base: e.base(), Service: e.Logins, OnResult: e.OnLoginResult}
}
