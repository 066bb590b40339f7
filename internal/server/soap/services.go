package soap

import (
	"net/http"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/token"
)

// operation is an operation of a service.
type operation struct {
	Name       string
	IsExpiring bool       // it has the parameter tokenLifeInMinutes
	kind       token.Kind // of the token that it issues; for logout unused
}

// IssuesToken reports whether an operation returns a token.
func (op operation) IssuesToken() bool { return op.kind != 0 }

// service is a service with its operations.
type service struct {
	Name       string
	Operations []operation
}

// The services. getAccessExpiringToken is the operation that the documentation of Spectrum shows,
// for a session token. Each kind of token has an operation with an end and one without, under the
// names that follow from it.
var (
	tokenManager = service{"TokenManagerService", []operation{
		{"getAccessToken", false, token.Session},
		{"getAccessExpiringToken", true, token.Session},
		{"getAccessSessionToken", false, token.Session},
		{"getAccessExpiringSessionToken", true, token.Session},
		{"getAccessTokenForAll", false, token.Open},
		{"getAccessExpiringTokenForAll", true, token.Open},
		{"getAccessOpenToken", false, token.Open},
		{"getAccessExpiringOpenToken", true, token.Open},
	}}
	tokenLogout = service{"TokenLogoutService", []operation{{Name: "logout"}}}
)

// find returns the operation that a message calls.
func (s service) find(c call) (operation, error) {
	i := slices.IndexFunc(s.Operations, func(op operation) bool { return op.Name == c.operation })
	if i < 0 {
		return operation{}, callerFault("the service has no such operation; its WSDL document lists those it has")
	}
	return s.Operations[i], nil
}

// lifetime returns the lifetime that a call asks for. 0 means no limit. An operation without the
// parameter refuses it: the caller would get a token that outlives what it asked for.
func (op operation) lifetime(c call) (time.Duration, error) {
	switch {
	case op.IsExpiring && !c.hasLifetime:
		return 0, &decode.Error{Status: http.StatusBadRequest, Field: paramLifetime, Message: "is required by this operation"}
	case op.IsExpiring:
		return loginapi.ParseTTL(paramLifetime, c.lifetime)
	case c.hasLifetime:
		return 0, &decode.Error{Status: http.StatusBadRequest, Field: paramLifetime, Message: "is not a parameter of this operation; call one whose token expires"}
	default:
		return 0, nil
	}
}

// Handlers serves the services.
type Handlers struct{ *loginapi.Logins }

// issue serves the operations of TokenManagerService.
func (h *Handlers) issue(w http.ResponseWriter, r *http.Request) {
	v, c, err := readMessage(w, r)
	var o login.Opened
	if err == nil {
		o, err = h.open(w, r, c)
	}
	if err != nil {
		writeFault(w, v, err, endpoint.PasswordChallenge(r))
		return
	}
	writeResult(w, v, c, &o)
}

func (h *Handlers) open(w http.ResponseWriter, r *http.Request, c call) (login.Opened, error) {
	op, err := tokenManager.find(c)
	if err != nil {
		return login.Opened{}, err
	}
	lifetime, err := op.lifetime(c)
	if err != nil {
		return login.Opened{}, err
	}
	return h.OpenSpectrumLogin(w, r, op.kind, lifetime)
}

// logout serves the operation of TokenLogoutService.
func (h *Handlers) logout(w http.ResponseWriter, r *http.Request) {
	v, c, err := readMessage(w, r)
	if err == nil {
		_, err = tokenLogout.find(c)
	}
	if err == nil {
		err = h.EndSpectrumLogin(w, r)
	}
	if err != nil {
		writeFault(w, v, err, endpoint.BearerChallenge)
		return
	}
	writeResult(w, v, c, nil)
}

// Operations returns the operations of the services: their messages and their WSDL documents. They
// have no description, since neither is JSON. Tools write a slash before the query.
func (h *Handlers) Operations() []endpoint.Operation {
	var all []endpoint.Operation
	for _, path := range []string{"", "/"} {
		all = append(all,
			endpoint.Operation{Method: http.MethodPost, Path: tokenManager.path() + path, Serve: h.issue},
			endpoint.Operation{Method: http.MethodGet, Path: tokenManager.path() + path, Serve: h.wsdl(tokenManager), IsPublic: true},
			endpoint.Operation{Method: http.MethodPost, Path: tokenLogout.path() + path, Serve: h.logout},
			endpoint.Operation{Method: http.MethodGet, Path: tokenLogout.path() + path, Serve: h.wsdl(tokenLogout), IsPublic: true},
		)
	}
	return all
}

func (s service) path() string { return "/security/" + s.Name }
