package verify_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// fakeStore is a fake record store that counts its calls.
type fakeStore struct {
	find  func(token.Digest) (record.Record, error)
	asked atomic.Int64
}

func (s *fakeStore) Find(_ context.Context, d token.Digest) (record.Record, error) {
	s.asked.Add(1)
	if s.find == nil {
		return record.Record{}, record.ErrGone
	}
	return s.find(d)
}

// fakeClock stands still until it is advanced.
type fakeClock struct{ at atomic.Int64 }

func (c *fakeClock) now() time.Time { return time.Unix(0, c.at.Load()) }

func (c *fakeClock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newClock(t time.Time) (c *fakeClock) { c = new(fakeClock); c.at.Store(t.UnixNano()); return c }

func (w *fixture) takeUses() []verify.Use { return w.TakeUses(100) }

func ignoreLookup(verify.Lookup) {}

func factsFrom(address string) verify.Facts {
	return verify.Facts{Source: netip.MustParseAddr(address)}
}

func (w *fixture) newVerifier(c *fakeClock, s *fakeStore) *verify.Verifier {
	v := verify.NewVerifier(&w.Index, s, verify.Options{LookupsPerSecond: 10, Now: c.now, OnLookup: ignoreLookup})
	v.MarkFresh()
	return v
}

func TestTakeUses_ReturnsLastUseOnce(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		c.advance(time.Second)
		v.Verify(t.Context(), w.tok.Reveal(), factsFrom(address))
	}
	uses := w.takeUses()
	if len(uses) != 1 {
		t.Fatalf("%d uses", len(uses))
	}
	if u := uses[0]; !u.At.Equal(noon.Add(3*time.Second)) || u.From.String() != "2001:db8::1" || u.ID.String() != w.rec.Name() {
		t.Errorf("%s at %s from %s", u.ID, u.At, u.From)
	}
	if n := len(w.takeUses()); n != 0 {
		t.Errorf("it is reported again: %d", n)
	}
	c.advance(time.Second)
	v.Verify(t.Context(), w.tok.Reveal(), factsFrom("192.0.2.9"))
	if uses := w.takeUses(); len(uses) != 1 || uses[0].From.String() != "192.0.2.9" {
		t.Errorf("the next use: %v", uses)
	}
}

func TestTakeUses_RejectedCredentialIsNoUse(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	for _, f := range []verify.Facts{{Roles: []string{"second"}}, {Permissions: []string{"x"}}, {Clients: []string{"beta"}}} {
		if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), f); verdict == verify.Valid {
			t.Errorf("%v: Good", f)
		}
	}
	w.Disable(w.rec.Owner)
	v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{})
	if n := len(w.takeUses()); n != 0 {
		t.Errorf("%d uses", n)
	}
}

func TestTakeUses_OmitsRemovedRecords(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	v.Verify(t.Context(), w.tok.Reveal(), factsFrom("192.0.2.1"))
	w.Remove(w.rec.Digest)
	if uses := w.takeUses(); len(uses) != 0 {
		t.Errorf("gone: %v", uses)
	}
	w.Set(w.rec) // the removal was a mistake
	c.advance(time.Second)
	v.Verify(t.Context(), w.tok.Reveal(), factsFrom("192.0.2.1"))
	if uses := w.takeUses(); len(uses) != 1 {
		t.Errorf("there again: %v", uses)
	}
}

func TestTakeUses_UseOutlivesRecordChange(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	w.newVerifier(c, &fakeStore{}).Verify(t.Context(), w.tok.Reveal(), factsFrom("192.0.2.1"))
	r := w.rec
	r.Suspended = true
	w.Set(r)
	if uses := w.takeUses(); len(uses) != 1 || !uses[0].At.Equal(noon) {
		t.Errorf("%v", uses)
	}
}

// A predecessor is retired by its last use in the API server. Once a credential is superseded, a
// use that is only in memory must get there.
func TestTakeUses_SupersededUseIsReturnedAgain(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	r := w.rec
	r.LastUsedAt = noon.Add(-time.Minute)
	w.Set(r)
	v.Verify(t.Context(), w.tok.Reveal(), factsFrom("192.0.2.1"))
	if uses := w.takeUses(); len(uses) != 1 || uses[0].IsDue(c.now()) {
		t.Fatalf("%v: a minute behind is not yet due", uses)
	}
	r.SupersededAt = noon
	w.Set(r)
	if uses := w.takeUses(); len(uses) != 1 || !uses[0].IsDue(c.now()) {
		t.Errorf("%v: now it is", uses)
	}
	r.LastUsedAt = noon
	w.Set(r)
	if uses := w.takeUses(); len(uses) != 0 {
		t.Errorf("%v: the store knows", uses)
	}
}

func TestTakeUses_ConcurrentUsesAreConsistent(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	var users sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		users.Go(func() {
			// Each address repeats one byte, so that a mix of two addresses shows.
			var b [16]byte
			for j := range b {
				b[j] = byte(i + 1)
			}
			f := verify.Facts{Source: netip.AddrFrom16(b)}
			for {
				select {
				case <-stop:
					return
				default:
					c.advance(time.Second)
					v.Verify(t.Context(), w.tok.Reveal(), f)
				}
			}
		})
	}
	for told := 0; told < 2000; {
		for _, u := range w.takeUses() {
			told++
			b := u.From.As16()
			if !slices.Equal(b[:], slices.Repeat([]byte{b[0]}, 16)) || u.At.IsZero() {
				t.Errorf("at %s from %s: no request came from there", u.At, u.From)
			}
		}
	}
	close(stop)
	users.Wait()
}

func TestPlanWrites_Order(t *testing.T) {
	use := func(name string, behind, supersededFor time.Duration) verify.Use {
		u := verify.Use{At: noon}
		copy(u.ID[:], name)
		if behind > 0 {
			u.StoredAt = noon.Add(-behind)
		}
		if supersededFor > 0 {
			u.SupersededAt = noon.Add(-supersededFor)
		}
		return u
	}
	const current = 0
	uses := []verify.Use{
		use("a minute", time.Minute, current),
		use("just not due", 5*time.Minute-time.Second, current),
		use("an hour", time.Hour, current),
		use("due", 5*time.Minute, current),
		use("never", 0, current),
		use("old, just not due", 4*time.Second, time.Hour),
		use("old, due", 5*time.Second, time.Hour),
		use("old, a minute", time.Minute, time.Hour),
		use("old, never", 0, time.Hour),
		use("old, not since", 3*time.Second, time.Second),
	}
	name := func(u verify.Use) string { return string(u.ID[:len(u.ID)-countZeros(u.ID)]) }
	names := func(list []verify.Use) []string {
		var all []string
		for _, u := range list {
			all = append(all, name(u))
		}
		return all
	}
	for _, x := range []struct {
		most       int
		now, later []string
	}{
		{0, nil, []string{"old, never", "never", "an hour", "old, a minute", "due", "old, due", "old, not since"}},
		{2, []string{"old, never", "never", "an hour", "old, not since"}, []string{"old, a minute", "due", "old, due"}},
		{9, []string{"old, never", "never", "an hour", "old, a minute", "due", "old, due", "old, not since"}, nil},
	} {
		now, later := verify.PlanWrites(noon, slices.Clone(uses), x.most)
		if !slices.Equal(names(now), x.now) || !slices.Equal(names(later), x.later) {
			t.Errorf("of %d a second:\n%q now\n%q later\nwant\n%q now\n%q later", x.most, names(now), names(later), x.now, x.later)
		}
	}
}

// Two thousand tokens rotate at once and are all in use. The API server must get the use of each
// before its minOverlap of ten minutes is over. There is one write a second, however busy all
// others are.
func TestPlanWrites_NoPredecessorInUseIsRetired(t *testing.T) {
	var uses []verify.Use
	for i := range 4_000 {
		u := verify.Use{At: noon.Add(time.Minute), StoredAt: noon.Add(-24 * time.Hour)}
		binary.BigEndian.PutUint64(u.ID[:], uint64(i)+1)
		if i%2 == 0 {
			u.SupersededAt = noon
		}
		uses = append(uses, u)
	}
	for range 10 * 60 {
		_, uses = verify.PlanWrites(noon, uses, 1)
	}
	for _, u := range uses {
		if !u.SupersededAt.IsZero() {
			t.Fatalf("%s is in use, and after ten minutes the store does not know it", u.ID)
		}
	}
}

func countZeros(id verify.ID) (n int) {
	for i := len(id) - 1; i >= 0 && id[i] == 0; i-- {
		n++
	}
	return n
}

func TestTakeUses_ReturnsAllInBatches(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	texts := map[string]bool{}
	for i := range 250 {
		tok, rec := verifytest.Mint(t, token.Application, strconv.Itoa(i)), w.rec
		rec.Digest = tok.Digest()
		w.Set(rec)
		texts[rec.Name()] = true
		v.Verify(t.Context(), tok.Reveal(), verify.Facts{})
	}
	for _, want := range []int{100, 100, 50, 0} {
		uses := w.TakeUses(100)
		if len(uses) != want {
			t.Fatalf("%d uses, want %d", len(uses), want)
		}
		for _, u := range uses {
			delete(texts, u.ID.String())
		}
	}
	if len(texts) > 0 {
		t.Errorf("%d were never reported", len(texts))
	}
}
