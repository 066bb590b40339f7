package tokenapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/token"
)

// unreachableManagement is a management service whose API server never responds. With shows, reads
// of one token succeed.
type unreachableManagement struct {
	management.API
	canGet bool
}

func waitForTimeout(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", management.ErrUnavailable, ctx.Err())
}

func (s unreachableManagement) Get(ctx context.Context, of management.Scope, name string) (management.Token, error) {
	if s.canGet {
		return s.API.Get(ctx, of, name)
	}
	return management.Token{}, waitForTimeout(ctx)
}

func (s unreachableManagement) Create(ctx context.Context, _ management.Caller, _ management.Scope, _ management.TokenSpec) (management.Issued, error) {
	return management.Issued{}, waitForTimeout(ctx)
}

func (s unreachableManagement) List(ctx context.Context, _ management.Scope) ([]management.Token, error) {
	return nil, waitForTimeout(ctx)
}

func (s unreachableManagement) Change(ctx context.Context, _ management.Caller, _ management.Scope, _ string, _ management.Change) (management.Token, error) {
	return management.Token{}, waitForTimeout(ctx)
}

func (s unreachableManagement) Clone(ctx context.Context, _ management.Caller, _ management.Scope, _, _, _ string) (management.Issued, error) {
	return management.Issued{}, waitForTimeout(ctx)
}

func (s unreachableManagement) Rotate(ctx context.Context, _ management.Caller, _ management.Scope, _, _ string) (management.Issued, error) {
	return management.Issued{}, waitForTimeout(ctx)
}

func (s unreachableManagement) RotateOwn(ctx context.Context, _ management.Caller, _ token.Digest, _ string) (management.Issued, error) {
	return management.Issued{}, waitForTimeout(ctx)
}

func (s unreachableManagement) Revoke(ctx context.Context, _ management.Scope, _ string) error {
	return waitForTimeout(ctx)
}

// ask passes a request to the handler without a network, and returns the response and its duration.
func ask(h *servertest.LoginServer, ctx context.Context, request string, parts ...servertest.RequestOption) (*httptest.ResponseRecorder, time.Duration) {
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, path, nil).WithContext(ctx)
	r.RemoteAddr = "192.0.2.7:1"
	for _, p := range parts {
		p(r)
	}
	w, began := httptest.NewRecorder(), time.Now()
	h.Handler().ServeHTTP(w, r)
	return w, time.Since(began)
}

// The wait that docs/security.md promises. It applies even if the caller is gone.
func TestManage_WaitsFiveSecondsForAPIServer(t *testing.T) {
	requests := map[string]servertest.RequestOption{
		"GET " + servertest.PathAcmeTokens:                                   nil,
		"GET " + servertest.PathAcmeTokens + "/appdeveloper":                 nil,
		"PUT " + servertest.PathAcmeTokens + "/new":                          servertest.JSONBody("{}"),
		"PATCH " + servertest.PathAcmeTokens + "/appdeveloper":               servertest.JSONBody("{}"),
		"DELETE " + servertest.PathAcmeTokens + "/appdeveloper":              nil,
		"POST " + servertest.PathAcmeTokens + "/appdeveloper/clone":          servertest.JSONBody(`{"name":"copy"}`),
		"POST " + servertest.PathAcmeTokens + "/other/rotate":                nil,
		"POST " + servertest.PathAcmeTokens + "/appdeveloper/rotate":         nil, // the caller's own
		"POST /application-tokens/v1/rotate":                                 nil,
		"DELETE /admin-api" + servertest.PathAcmeTokens + "/appdeveloper":    nil,
		"POST /admin-api/application-tokens/v1/rotate":                       nil,
		"POST /admin-api" + servertest.PathAcmeTokens + "/" + "other/rotate": nil,
	}
	for request, body := range requests {
		for _, shows := range []bool{true, false} {
			if shows && strings.HasPrefix(request, "GET") && strings.HasSuffix(request, "appdeveloper") {
				continue // nothing waits here
			}
			for name, gone := range map[string]bool{"the caller waits": false, "the caller has gone": true} {
				synctest.Test(t, func(t *testing.T) {
					h := servertest.NewUnstartedLoginServer(t)
					app := h.AppToken("developer")
					h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "other"})
					h.Endpoints.Management = unreachableManagement{h.TokenService, shows}
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					if gone {
						leave()
					}
					parts := []servertest.RequestOption{servertest.Bearer(app)}
					if body != nil {
						parts = append(parts, body)
					}
					got, took := ask(h, ctx, request, parts...)
					if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") != "5" || took != 5*time.Second {
						t.Errorf("%s, %s: %d %s after %s", request, name, got.Code, got.Body, took)
					}
				})
			}
		}
	}
}
