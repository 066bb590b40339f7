package tokenrecord_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// Garbage collection never deletes more records than the limiter allows, whatever the reason: the
// owner is gone, or the records are over by a clock that is ahead.
func TestGarbageCollection_KeepsToItsRate(t *testing.T) {
	const records, allowed = 6, 2
	for name, doom := range map[string]func(w *operatortest.Fixture) func(context.Context) error{
		"of tokens whose owners are gone": func(w *operatortest.Fixture) func(context.Context) error {
			store := w.Store()
			for range records {
				tok, err := token.Mint(token.Application, rand.Reader)
				w.Must(err)
				_, err = store.Add(w.Ctx, record.Record{
					Kind: token.Application, Digest: tok.Digest(), Client: w.ClientName, Roles: []string{"primary"}, IssuedAt: w.Now, Version: 1,
					Owner: record.Owner{Kind: "ApplicationToken", Namespace: w.Namespace, Name: "gone", UID: "11111111-1111-4111-8111-111111111111"},
				})
				w.Must(err)
			}
			w.Now = w.Now.Add(2 * plan.OrphanAge)
			o := w.NewOperator(api, api)
			return func(ctx context.Context) error { w.Ctx = ctx; return o.Pass() }
		},
		"of logins that are over": func(w *operatortest.Fixture) func(context.Context) error {
			w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
			w.CreateUserWithPassword("alice", nil)
			o := w.NewUserOperator(w.Faults(0, operatortest.FaultMode{}).Wrap(api), api)
			w.Must(o.Settle())
			s := w.NewLoginService(nil)
			for range records {
				w.LogIn(s, "alice", login.Terms{Kind: token.Login})
			}
			w.Now = w.Now.Add(2 * time.Hour)
			return func(ctx context.Context) error { w.Ctx = ctx; return o.Pass() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := operatortest.New(t, api)
			w.Limiter = gc.NewLimiter(0, allowed)
			pass := doom(w)
			if n := w.RecordsLeft(); n != records {
				t.Fatalf("there are %d records, want %d", n, records)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // no wait is longer
			defer cancel()
			for range 2 * records {
				if err := pass(ctx); err == nil {
					t.Error("a pass ends well with records left that are to go")
				}
			}
			if n := w.RecordsLeft(); n != records-allowed {
				t.Errorf("%d records are left, want %d", n, records-allowed)
			}
		})
	}
}
