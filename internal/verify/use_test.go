package verify_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// store is a store of records that counts who asks it.
type store struct {
	find  func(token.Digest) (record.Record, error)
	asked atomic.Int64
}

func (s *store) Find(_ context.Context, d token.Digest) (record.Record, error) {
	s.asked.Add(1)
	if s.find == nil {
		return record.Record{}, record.ErrGone
	}
	return s.find(d)
}

// clock stands still until it is stepped.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time        { return time.Unix(0, c.at.Load()) }
func (c *clock) step(d time.Duration)  { c.at.Add(int64(d)) }
func startAt(t time.Time) (c *clock)   { c = new(clock); c.at.Store(t.UnixNano()); return c }
func (w *twist) uses() []verify.Use    { return w.Used(nil) }
func ignore(verify.Lookup)             {}
func from(address string) verify.Facts { return verify.Facts{Source: netip.MustParseAddr(address)} }
func (w *twist) verifier(c *clock, s *store) *verify.Verifier {
	v := verify.NewVerifier(&w.Index, s, verify.Options{Reads: 10, Now: c.now, Lookups: ignore})
	v.Heard()
	return v
}

func TestAUseIsToldOfOnceWithItsLastTimeAndAddress(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	v := w.verifier(c, &store{})
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		c.step(time.Second)
		v.Verify(t.Context(), w.tok.Reveal(), from(address))
	}
	uses := w.uses()
	if len(uses) != 1 {
		t.Fatalf("%d uses", len(uses))
	}
	if u := uses[0]; !u.At.Equal(noon.Add(3*time.Second)) || u.From.String() != "2001:db8::1" || u.ID.String() != w.rec.Name() {
		t.Errorf("%s at %s from %s", u.ID, u.At, u.From)
	}
	if n := len(w.uses()); n != 0 {
		t.Errorf("it is told of again: %d", n)
	}
	c.step(time.Second)
	v.Verify(t.Context(), w.tok.Reveal(), from("192.0.2.9"))
	if uses := w.uses(); len(uses) != 1 || uses[0].From.String() != "192.0.2.9" {
		t.Errorf("the next use: %v", uses)
	}
}

func TestWhatIsRefusedIsNoUse(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	v := w.verifier(c, &store{})
	for _, f := range []verify.Facts{{Roles: []string{"second"}}, {Permissions: []string{"x"}}, {Clients: []string{"beta"}}} {
		if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), f); verdict == verify.Good {
			t.Errorf("%v: Good", f)
		}
	}
	w.Stop(w.rec.Owner)
	v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{})
	if n := len(w.uses()); n != 0 {
		t.Errorf("%d uses", n)
	}
}

func TestAUseOutlivesAChangeOfItsRecord(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	w.verifier(c, &store{}).Verify(t.Context(), w.tok.Reveal(), from("192.0.2.1"))
	r := w.rec
	r.Suspended = true
	w.Set(r)
	if uses := w.uses(); len(uses) != 1 || !uses[0].At.Equal(noon) {
		t.Errorf("%v", uses)
	}
}

// A predecessor is retired by what the store knows of its use, so once it is one, what is only in memory must get there.
func TestTheUseOfWhatIsSupersededIsToldOfAgain(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	v := w.verifier(c, &store{})
	r := w.rec
	r.LastUsedAt = noon.Add(-time.Minute)
	w.Set(r)
	v.Verify(t.Context(), w.tok.Reveal(), from("192.0.2.1"))
	if uses := w.uses(); len(uses) != 1 || uses[0].Due() {
		t.Fatalf("%v: a minute behind is not yet due", uses)
	}
	r.SupersededAt = noon
	w.Set(r)
	if uses := w.uses(); len(uses) != 1 || !uses[0].Due() {
		t.Errorf("%v: now it is", uses)
	}
	r.LastUsedAt = noon
	w.Set(r)
	if uses := w.uses(); len(uses) != 0 {
		t.Errorf("%v: the store knows", uses)
	}
}

func TestUsesByManyAtOnceAreWhole(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	v := w.verifier(c, &store{})
	var users sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		users.Go(func() {
			// Each address is the same byte all over, so that one which is put together of two shows.
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
					c.step(time.Second)
					v.Verify(t.Context(), w.tok.Reveal(), f)
				}
			}
		})
	}
	for told := 0; told < 2000; {
		for _, u := range w.uses() {
			told++
			b := u.From.As16()
			if !slices.Equal(b[:], slices.Repeat([]byte{b[0]}, 16)) || u.At.IsZero() {
				t.Errorf("at %s from %s: nobody came from there", u.At, u.From)
			}
		}
	}
	close(stop)
	users.Wait()
}

func TestWhatIsWrittenFirst(t *testing.T) {
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
		now, later := verify.Next(slices.Clone(uses), x.most)
		if !slices.Equal(names(now), x.now) || !slices.Equal(names(later), x.later) {
			t.Errorf("of %d a second:\n%q now\n%q later\nwant\n%q now\n%q later", x.most, names(now), names(later), x.now, x.later)
		}
	}
}

// Two thousand rotate at once and are all in use: the store must hear of each before its minOverlap of ten minutes is over,
// at one write a second and however busy all others are.
func TestNoPredecessorInUseIsRetiredBecauseWritesAreFew(t *testing.T) {
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
		_, uses = verify.Next(uses, 1)
	}
	for _, u := range uses {
		if !u.SupersededAt.IsZero() {
			t.Fatalf("%s is in use, and after ten minutes the store has not heard of it", u.ID)
		}
	}
}

func countZeros(id verify.ID) (n int) {
	for i := len(id) - 1; i >= 0 && id[i] == 0; i-- {
		n++
	}
	return n
}

func TestATokenJustMadeIsLookedUpOnceForAllWhoAsk(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	w.Remove(w.rec.Digest)
	asking, hold := make(chan struct{}), make(chan struct{})
	s := &store{find: func(d token.Digest) (record.Record, error) {
		close(asking) // a second time, it would panic
		<-hold
		if d != w.rec.Digest {
			return record.Record{}, fmt.Errorf("asked for another")
		}
		return w.rec, nil
	}}
	v := w.verifier(c, s)
	var users sync.WaitGroup
	var good atomic.Int64
	for range 50 {
		users.Go(func() {
			if who, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{Roles: []string{"primary"}}); verdict == verify.Good && who.Subject == "shop/indexer" {
				good.Add(1)
			}
		})
	}
	<-asking
	close(hold)
	users.Wait()
	if good.Load() != 50 {
		t.Errorf("%d of 50 were Good", good.Load())
	}
	if w.Len() != 0 {
		t.Error("what was looked up is in the index, where nobody would tell of its deletion")
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestWhatIsLookedUpIsJudgedLikeWhatIsThere(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	w.Remove(w.rec.Digest)
	stored := w.rec
	v := w.verifier(c, &store{find: func(token.Digest) (record.Record, error) { return stored, nil }})
	ask := func() verify.Verdict {
		_, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{})
		return verdict
	}
	for what, x := range map[string]struct {
		change func(*record.Record)
		want   verify.Verdict
	}{
		"expired":   {func(r *record.Record) { r.ExpiresAt = noon.Add(-time.Hour) }, verify.Expired},
		"suspended": {func(r *record.Record) { r.Suspended = true }, verify.Suspended},
		"of nobody": {func(r *record.Record) { r.Client = "nobody" }, verify.ClientMissing},
		"of a kind": {func(r *record.Record) { r.Kind = token.Login }, verify.Unknown},
	} {
		c.step(time.Minute) // what was looked up before is forgotten
		stored = w.rec
		x.change(&stored)
		if got := ask(); got != x.want {
			t.Errorf("%s: %s, want %s", what, got, x.want)
		}
	}
	c.step(time.Minute)
	stored = w.rec
	w.Stop(w.rec.Owner)
	if got := ask(); got != verify.OwnerStopped {
		t.Errorf("its owner is stopped: %s", got)
	}
}

// Each unknown token costs a read at most, and a flood of them the reads that are set.
func TestUnknownTokensAreLookedUpWithinABudget(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	s := &store{}
	v := w.verifier(c, s)
	unknown := make([]string, 200)
	for i := range unknown {
		unknown[i] = verifytest.Mint(t, token.Application, fmt.Sprint("unknown ", i)).Reveal()
	}
	for range 10 {
		if _, verdict := v.Verify(t.Context(), unknown[0], verify.Facts{}); verdict != verify.Unknown {
			t.Fatal(verdict)
		}
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("one unknown token was looked up %d times", n)
	}
	for _, text := range unknown {
		v.Verify(t.Context(), text, verify.Facts{})
	}
	if n := s.asked.Load(); n > 10 {
		t.Errorf("200 unknown tokens at once were looked up %d times", n)
	}
	c.step(time.Second)
	for _, text := range unknown {
		v.Verify(t.Context(), text, verify.Facts{})
	}
	if n := s.asked.Load(); n > 20 || n <= 10 {
		t.Errorf("%d look-ups after another second", n)
	}
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Good {
		t.Errorf("a good token in the flood: %s", verdict)
	}
}

// What the store could not tell is no answer: neither good nor gone.
func TestWhatCannotBeLookedUpIsUndecided(t *testing.T) {
	for name, find := range map[string]func(token.Digest) (record.Record, error){
		"it does not answer": func(token.Digest) (record.Record, error) { return record.Record{}, errors.New("away") },
		"it panics":          func(token.Digest) (record.Record, error) { panic("unforeseen") },
	} {
		w, c := newTwist(t), startAt(noon)
		w.Remove(w.rec.Digest)
		v := w.verifier(c, &store{find: find})
		for range 2 {
			if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Undecided || !verdict.Open() {
				t.Errorf("%s: %s", name, verdict)
			}
		}
	}
	w, c := newTwist(t), startAt(noon)
	v := w.verifier(c, &store{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, verdict := v.Verify(ctx, w.tok.Reveal(), verify.Facts{}); verdict != verify.Good {
		t.Errorf("what is known is %s to somebody who has gone", verdict)
	}
}

// A look-up that read the record before it was deleted must not bring it back.
func TestALookUpDoesNotOutliveAnEnd(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	w.Remove(w.rec.Digest)
	var v *verify.Verifier
	v = w.verifier(c, &store{find: func(token.Digest) (record.Record, error) {
		v.End(w.rec.Digest)
		return w.rec, nil
	}})
	v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{})
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Unknown {
		t.Errorf("after its end: %s", verdict)
	}
}

func TestWhatCannotBeParsedIsNeverLookedUp(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	s := &store{}
	v := w.verifier(c, s)
	for _, text := range []string{"", "x", w.tok.Reveal() + "0", w.tok.Reveal()[1:]} {
		if _, verdict := v.Verify(t.Context(), text, verify.Facts{}); verdict != verify.Malformed {
			t.Errorf("%s", verdict)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("%d look-ups", n)
	}
}

func TestDoorsCloseWhenTheStoreWasSilentForTooLong(t *testing.T) {
	w, c := newTwist(t), startAt(noon)
	v := verify.NewVerifier(&w.Index, &store{}, verify.Options{Reads: 1, Oldest: time.Minute, Now: c.now, Lookups: ignore})
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Stale || v.Open() || v.Silence() != 0 {
		t.Errorf("before the index is complete: %s", verdict)
	}
	v.Heard()
	for _, x := range []struct {
		step time.Duration
		want verify.Verdict
	}{{time.Minute - time.Nanosecond, verify.Good}, {time.Nanosecond, verify.Good}, {time.Nanosecond, verify.Stale}} {
		c.step(x.step)
		if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != x.want || v.Open() != (x.want == verify.Good) {
			t.Errorf("after %s: %s, want %s", v.Silence(), verdict, x.want)
		}
	}
	v.Heard()
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Good {
		t.Errorf("after it was heard of: %s", verdict)
	}
}
