package verify_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

func TestLookUp_ConcurrentRequestsShareOneRead(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	w.Remove(w.rec.Digest)
	asking, hold := make(chan struct{}), make(chan struct{})
	s := &fakeStore{find: func(d token.Digest) (record.Record, error) {
		close(asking) // a second call would panic
		<-hold
		if d != w.rec.Digest {
			return record.Record{}, fmt.Errorf("asked for another")
		}
		return w.rec, nil
	}}
	v := w.newVerifier(c, s)
	var users sync.WaitGroup
	var good atomic.Int64
	for range 50 {
		users.Go(func() {
			if who, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{Roles: []string{"primary"}}); verdict == verify.Valid && who.Subject == "shop/indexer" {
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
		t.Error("what was looked up is in the index, where no watch would report its deletion")
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestLookUp_SameVerdictsAsIndex(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	w.Remove(w.rec.Digest)
	stored := w.rec
	v := w.newVerifier(c, &fakeStore{find: func(token.Digest) (record.Record, error) { return stored, nil }})
	ask := func() verify.Verdict {
		_, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{})
		return verdict
	}
	for what, x := range map[string]struct {
		change func(*record.Record)
		want   verify.Verdict
	}{
		"expired":             {func(r *record.Record) { r.ExpiresAt = noon.Add(-time.Hour) }, verify.Expired},
		"suspended":           {func(r *record.Record) { r.Suspended = true }, verify.Suspended},
		"of an absent client": {func(r *record.Record) { r.Client = "absent" }, verify.ClientMissing},
		"of a kind":           {func(r *record.Record) { r.Kind = token.Login }, verify.Unknown},
	} {
		c.advance(time.Minute) // the previous look-up is forgotten
		stored = w.rec
		x.change(&stored)
		if got := ask(); got != x.want {
			t.Errorf("%s: %s, want %s", what, got, x.want)
		}
	}
	c.advance(time.Minute)
	stored = w.rec
	w.Disable(w.rec.Owner)
	if got := ask(); got != verify.OwnerDisabled {
		t.Errorf("its owner is stopped: %s", got)
	}
}

// Each unknown token costs at most one read, and a flood of them at most the configured reads.
func TestLookUp_UnknownTokensHaveABudget(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	s := &fakeStore{}
	v := w.newVerifier(c, s)
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
	for i, text := range unknown {
		v.Verify(t.Context(), text, verify.Facts{Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
	}
	if n := s.asked.Load(); n > 10 {
		t.Errorf("200 unknown tokens at once were looked up %d times", n)
	}
	c.advance(time.Second)
	for i, text := range unknown {
		v.Verify(t.Context(), text, verify.Facts{Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
	}
	if n := s.asked.Load(); n > 20 || n <= 10 {
		t.Errorf("%d look-ups after another second", n)
	}
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Valid {
		t.Errorf("a valid token in the flood: %s", verdict)
	}
}

// One source uses up its own share of the look-ups and no more, whichever address it is limited by.
func TestLookUp_SourceHasShareOfReads(t *testing.T) {
	flooder, neighbour := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
	for name, x := range map[string]struct {
		flood  func(i int) verify.Facts
		others verify.Facts
	}{
		"an address": {func(int) verify.Facts { return verify.Facts{Source: flooder} }, verify.Facts{Source: neighbour}},
		"a network of one customer": {func(i int) verify.Facts {
			return verify.Facts{Source: netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 15: byte(i)})}
		}, verify.Facts{Source: neighbour}},
		"the caller, the source is not": {func(int) verify.Facts { return verify.Facts{Caller: flooder} }, verify.Facts{Caller: neighbour}},
		"from an unknown address":       {func(int) verify.Facts { return verify.Facts{} }, verify.Facts{Source: neighbour}},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := newFixture(t), newClock(noon)
			s := &fakeStore{}
			v := w.newVerifier(c, s) // ten look-ups a second
			for i := range 100 {
				text := verifytest.Mint(t, token.Application, fmt.Sprint("unknown ", i)).Reveal()
				v.Verify(t.Context(), text, x.flood(i))
			}
			if n := s.asked.Load(); n != 2 {
				t.Errorf("one source caused %d look-ups, want a quarter of ten", n)
			}
			if _, verdict := v.Verify(t.Context(), verifytest.Mint(t, token.Application, "another").Reveal(), x.others); verdict != verify.Unknown {
				t.Errorf("another source: %s, want an answer of the store", verdict)
			}
			c.advance(time.Second)
			if _, verdict := v.Verify(t.Context(), verifytest.Mint(t, token.Application, "later").Reveal(), x.flood(0)); verdict != verify.Unknown {
				t.Errorf("a second later: %s", verdict)
			}
		})
	}
}

// While the API server is slow, requests with the same token wait for its answer together.
func TestLookUp_LimitsWaitingPerSource(t *testing.T) {
	const most = 128
	w, c := newFixture(t), newClock(noon)
	w.Remove(w.rec.Digest)
	hold := make(chan struct{})
	v := w.newVerifier(c, &fakeStore{find: func(token.Digest) (record.Record, error) {
		<-hold
		return w.rec, nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	verdicts := make(chan verify.Verdict, most+1)
	for range most + 1 {
		go func() {
			_, verdict := v.Verify(ctx, w.tok.Reveal(), verify.Facts{Source: netip.MustParseAddr("192.0.2.1")})
			verdicts <- verdict
		}()
	}
	if first := <-verdicts; first != verify.Undecided || ctx.Err() != nil {
		t.Errorf("one too many: %s, want Undecided while the others wait", first)
	}
	close(hold)
	for range most {
		if verdict := <-verdicts; verdict != verify.Valid {
			t.Errorf("one of those that waited: %s", verdict)
		}
	}
}

func TestSourceNetwork_IsOneSubscriber(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "::192.0.2.7": "::/64", "2001:db8:0:1::1": "2001:db8:0:1::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := verify.SourceNetwork(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if got := verify.SourceNetwork(netip.Addr{}); got.IsValid() {
		t.Errorf("the zero address: %s", got)
	}
}

// Without an answer from the store a credential is neither valid nor gone.
func TestLookUp_FailureIsUndecided(t *testing.T) {
	for name, find := range map[string]func(token.Digest) (record.Record, error){
		"it does not answer": func(token.Digest) (record.Record, error) { return record.Record{}, errors.New("away") },
		"it panics":          func(token.Digest) (record.Record, error) { panic("unforeseen") },
	} {
		w, c := newFixture(t), newClock(noon)
		w.Remove(w.rec.Digest)
		v := w.newVerifier(c, &fakeStore{find: find})
		for range 2 {
			if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Undecided || !verdict.IsUndecided() {
				t.Errorf("%s: %s", name, verdict)
			}
		}
	}
	w, c := newFixture(t), newClock(noon)
	v := w.newVerifier(c, &fakeStore{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, verdict := v.Verify(ctx, w.tok.Reveal(), verify.Facts{}); verdict != verify.Valid {
		t.Errorf("what is known is %s to a caller that has gone", verdict)
	}
}

// A look-up that read the record before it was deleted must not bring it back.
func TestLookUp_DoesNotOutliveEnd(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	w.Remove(w.rec.Digest)
	var v *verify.Verifier
	v = w.newVerifier(c, &fakeStore{find: func(token.Digest) (record.Record, error) {
		v.End(w.rec.Digest)
		return w.rec, nil
	}})
	v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{})
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Unknown {
		t.Errorf("after its end: %s", verdict)
	}
}

func TestLookUp_MalformedTextIsNotRead(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	s := &fakeStore{}
	v := w.newVerifier(c, s)
	for _, text := range []string{"", "x", w.tok.Reveal() + "0", w.tok.Reveal()[1:]} {
		if _, verdict := v.Verify(t.Context(), text, verify.Facts{}); verdict != verify.Malformed {
			t.Errorf("%s", verdict)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("%d look-ups", n)
	}
}

func TestVerifier_StaleIndexRejectsAll(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	v := verify.NewVerifier(&w.Index, &fakeStore{}, verify.Options{LookupsPerSecond: 1, MaxStaleness: time.Minute, Now: c.now, OnLookup: ignoreLookup})
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Stale || v.IsFresh() {
		t.Errorf("before the index is complete: %s", verdict)
	}
	v.MarkFresh()
	for _, x := range []struct {
		step time.Duration
		want verify.Verdict
	}{{time.Minute - time.Nanosecond, verify.Valid}, {time.Nanosecond, verify.Valid}, {time.Nanosecond, verify.Stale}} {
		c.advance(x.step)
		if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != x.want || v.IsFresh() != (x.want == verify.Valid) {
			t.Errorf("%s, want %s", verdict, x.want)
		}
	}
	v.MarkFresh()
	if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Valid {
		t.Errorf("after it was reported: %s", verdict)
	}
}

// Threats row 11: a look-up is remembered by the whole digest.
func TestLookUp_CacheComparesWholeDigest(t *testing.T) {
	w, c := newFixture(t), newClock(noon)
	first, second := tokensSharingSlot(t) // they share a slot
	known := w.rec
	known.Digest = first.Digest()
	v := w.newVerifier(c, &fakeStore{find: func(d token.Digest) (record.Record, error) {
		if d == known.Digest {
			return known, nil
		}
		return record.Record{}, record.ErrGone
	}})
	for i := range 3 {
		from := verify.Facts{Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})} // each source has a share of the look-ups
		if _, verdict := v.Verify(t.Context(), first.Reveal(), from); verdict != verify.Valid {
			t.Errorf("the one that is known: %s", verdict)
		}
		if who, verdict := v.Verify(t.Context(), second.Reveal(), from); verdict != verify.Unknown {
			t.Errorf("the one that is not: %s as %v", verdict, who)
		}
	}
}

// tokensSharingSlot returns two tokens that share a slot of the verifier's memory.
func tokensSharingSlot(t *testing.T) (a, b token.Token) {
	t.Helper()
	seen := map[uint16]token.Token{}
	for {
		tok, err := token.Mint(token.Application, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		d := tok.Digest()
		place := binary.BigEndian.Uint16(d[:]) % (1 << 12)
		if other, ok := seen[place]; ok {
			return other, tok
		}
		seen[place] = tok
	}
}

// A lost watch hides changes, however recent the last contact is, and also if its age has no limit.
func TestVerifier_MarkedStaleRejectsUntilFresh(t *testing.T) {
	for _, oldest := range []time.Duration{0, time.Hour} {
		w, c := newFixture(t), newClock(noon)
		v := verify.NewVerifier(&w.Index, &fakeStore{}, verify.Options{LookupsPerSecond: 1, MaxStaleness: oldest, Now: c.now, OnLookup: ignoreLookup})
		for range 2 {
			v.MarkFresh()
			if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Valid {
				t.Errorf("reported: %s", verdict)
			}
			v.MarkStale()
			if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{}); verdict != verify.Stale || v.IsFresh() {
				t.Errorf("closed: %s", verdict)
			}
			if _, verdict := v.PasswordIdentity("alice", "acme", netip.Addr{}); verdict != verify.Stale {
				t.Errorf("closed, with a password: %s", verdict)
			}
		}
	}
}
