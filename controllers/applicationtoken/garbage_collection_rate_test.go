package applicationtoken_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Garbage collection never deletes more records than the limiter allows, whatever the reason: the
// owner is gone, or the records are over by a clock that is ahead.
func TestGarbageCollection_KeepsToItsRate(t *testing.T) {
	const records, allowed = 6, 2
	for name, doom := range map[string]func(w *fixture) func(context.Context) error{
		"of tokens whose owners are gone": func(w *fixture) func(context.Context) error {
			store := w.store()
			for range records {
				tok, err := token.Mint(token.Application, rand.Reader)
				w.must(err)
				_, err = store.Add(w.ctx, record.Record{
					Kind: token.Application, Digest: tok.Digest(), Client: w.clientName, Roles: []string{"primary"}, IssuedAt: w.now, Version: 1,
					Owner: record.Owner{Kind: "ApplicationToken", Namespace: w.namespace, Name: "gone", UID: "11111111-1111-4111-8111-111111111111"},
				})
				w.must(err)
			}
			w.now = w.now.Add(2 * plan.OrphanAge)
			o := w.newOperator(api, api)
			return func(ctx context.Context) error { w.ctx = ctx; return o.pass() }
		},
		"of logins that are over": func(w *fixture) func(context.Context) error {
			w.setPassword("alice", "passwordHash", markedHash)
			w.createUserWithPassword("alice", nil)
			o := w.newUserOperator(w.faults(0, faultMode{}).wrap(api), api)
			w.must(o.settle())
			s := w.newLoginService(nil)
			for range records {
				w.logIn(s, "alice", login.Terms{Kind: token.Login})
			}
			w.now = w.now.Add(2 * time.Hour)
			return func(ctx context.Context) error { w.ctx = ctx; return o.pass() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.limiter = gc.NewLimiter(0, allowed)
			pass := doom(w)
			if n := w.recordsLeft(); n != records {
				t.Fatalf("there are %d records, want %d", n, records)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // no wait is longer
			defer cancel()
			for range 2 * records {
				if err := pass(ctx); err == nil {
					t.Error("a pass ends well with records left that are to go")
				}
			}
			if n := w.recordsLeft(); n != records-allowed {
				t.Errorf("%d records are left, want %d", n, records-allowed)
			}
		})
	}
}
