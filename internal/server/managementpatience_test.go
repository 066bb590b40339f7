package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/token"
)

// stuck is a management service whose API server never responds. With shows, reads of one token
// succeed.
type stuck struct {
	desk.Desk
	shows bool
}

func wait(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", desk.ErrUnavailable, ctx.Err())
}

func (s stuck) Get(ctx context.Context, of desk.Scope, name string) (desk.Token, error) {
	if s.shows {
		return s.Desk.Get(ctx, of, name)
	}
	return desk.Token{}, wait(ctx)
}

func (s stuck) Create(ctx context.Context, _ desk.Caller, _ desk.Scope, _ desk.Wanted) (desk.Issued, error) {
	return desk.Issued{}, wait(ctx)
}

func (s stuck) List(ctx context.Context, _ desk.Scope) ([]desk.Token, error) { return nil, wait(ctx) }

func (s stuck) Change(ctx context.Context, _ desk.Caller, _ desk.Scope, _ string, _ desk.Change) (desk.Token, error) {
	return desk.Token{}, wait(ctx)
}

func (s stuck) Clone(ctx context.Context, _ desk.Caller, _ desk.Scope, _, _, _ string) (desk.Issued, error) {
	return desk.Issued{}, wait(ctx)
}

func (s stuck) Rotate(ctx context.Context, _ desk.Caller, _ desk.Scope, _, _ string) (desk.Issued, error) {
	return desk.Issued{}, wait(ctx)
}

func (s stuck) RotateOwn(ctx context.Context, _ desk.Caller, _ token.Digest, _ string) (desk.Issued, error) {
	return desk.Issued{}, wait(ctx)
}

func (s stuck) Revoke(ctx context.Context, _ desk.Scope, _ string) error { return wait(ctx) }

// ask passes a request to the handler without a network, and returns the response and its duration.
func (h *inn) ask(ctx context.Context, request string, parts ...part) (*httptest.ResponseRecorder, time.Duration) {
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
func TestTheManagementWaitsFiveSecondsForTheAPIServer(t *testing.T) {
	requests := map[string]part{
		"GET " + ofAcme:                                   nil,
		"GET " + ofAcme + "/appdeveloper":                 nil,
		"PUT " + ofAcme + "/new":                          object("{}"),
		"PATCH " + ofAcme + "/appdeveloper":               object("{}"),
		"DELETE " + ofAcme + "/appdeveloper":              nil,
		"POST " + ofAcme + "/appdeveloper/clone":          object(`{"name":"copy"}`),
		"POST " + ofAcme + "/other/rotate":                nil,
		"POST " + ofAcme + "/appdeveloper/rotate":         nil, // the caller's own
		"POST /application-tokens/v1/rotate":              nil,
		"DELETE /admin-api" + ofAcme + "/appdeveloper":    nil,
		"POST /admin-api/application-tokens/v1/rotate":    nil,
		"POST /admin-api" + ofAcme + "/" + "other/rotate": nil,
	}
	for request, body := range requests {
		for _, shows := range []bool{true, false} {
			if shows && strings.HasPrefix(request, "GET") && strings.HasSuffix(request, "appdeveloper") {
				continue // nothing waits here
			}
			for name, gone := range map[string]bool{"whoever asked waits": false, "whoever asked has gone": true} {
				synctest.Test(t, func(t *testing.T) {
					h := newInn(t)
					app := h.appToken("developer")
					h.make(desk.Scope{Client: "acme"}, desk.Wanted{Name: "other"})
					h.Doors.Desk = stuck{h.desk, shows}
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					if gone {
						leave()
					}
					parts := []part{bearer(app)}
					if body != nil {
						parts = append(parts, body)
					}
					got, took := h.ask(ctx, request, parts...)
					if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") != "5" || took != 5*time.Second {
						t.Errorf("%s, %s: %d %s after %s", request, name, got.Code, got.Body, took)
					}
				})
			}
		}
	}
}
