package login_test

import (
	"errors"
	"testing"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// The fake store must not be more lenient than the real one.
func TestFakeStore_BehavesLikeKube(t *testing.T) {
	w := newFixture(t)
	a, b := w.newReplica(nil), w.newReplica(func() int { return 1 })
	r := record.Record{Kind: token.Login, Digest: token.Digest{1}, Owner: record.Owner{Kind: login.OwnerKindUser, Name: "alice"}}
	stored, err := a.store.Add(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Add(t.Context(), r); !errors.Is(err, record.ErrExists) {
		t.Errorf("added twice: %v", err)
	}
	if rs, err := b.store.ListLogins(t.Context(), record.LoginQuery{User: r.Owner, Kind: token.Login}); len(rs) != 0 || err != nil {
		t.Errorf("a replica that is behind knows it already: %v, %v", rs, err)
	}
	w.noteUse(r.Digest)
	if err := a.store.Claim(t.Context(), stored); !errors.Is(err, record.ErrStale) {
		t.Errorf("claimed as it was before: %v", err)
	}
	now, err := b.store.Find(t.Context(), r.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.store.Claim(t.Context(), now), a.store.RetireAnyway(t.Context(), now)); err != nil {
		t.Error(err)
	}
	if err := a.store.Claim(t.Context(), now); !errors.Is(err, record.ErrGone) {
		t.Errorf("claimed twice: %v", err)
	}
	if err := a.store.RetireAnyway(t.Context(), r); !errors.Is(err, record.ErrStale) {
		t.Errorf("retired although it was never read: %v", err)
	}
}
