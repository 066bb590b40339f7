package verify_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// recordOf returns a record of a client with a digest that is derived from a number.
func recordOf(client string, n int) record.Record {
	r := record.Record{Kind: token.Application, Client: client, Owner: record.Owner{Kind: "ApplicationToken", Namespace: client, Name: "a", UID: "uid"}}
	copy(r.Digest[:], client)
	binary.BigEndian.PutUint64(r.Digest[24:], uint64(n))
	return r
}

func TestKnown_RemovedRecordIsNamed(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	minted := verifytest.Mint(t, token.Application, "known")
	r := recordOf("acme", 0)
	r.Digest, r.User, r.ExpiresAt = minted.Digest(), "alice", now.Add(time.Hour)
	for sentence, x := range map[string]struct {
		removedRecords time.Time
		remove         func(*verify.Index, *verify.Verifier)
		revoked        bool
	}{
		"deleted before its end":        {now, func(x *verify.Index, _ *verify.Verifier) { x.Remove(r.Digest) }, true},
		"ended by this replica":         {now, func(_ *verify.Index, v *verify.Verifier) { v.End(r.Digest) }, true},
		"deleted in the last second":    {now.Add(time.Hour - time.Second), func(x *verify.Index, _ *verify.Verifier) { x.Remove(r.Digest) }, true},
		"garbage-collected, at its end": {now.Add(time.Hour), func(x *verify.Index, _ *verify.Verifier) { x.Remove(r.Digest) }, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			index, at := &verify.Index{}, x.removedRecords
			v := verify.NewVerifier(index, nil, verify.Options{Now: func() time.Time { return at }})
			index.Set(r)
			want := verify.Known{ID: verify.ID(r.Digest[:16]), Kind: token.Application, Subject: "acme/a", Client: "acme", User: "alice"}
			if got, ok := v.Known(minted.Reveal()); !ok || got != want {
				t.Errorf("before: %+v, want %+v", got, want)
			}
			x.remove(index, v)
			at = now.Add(48 * time.Hour) // the time of its use does not matter
			want.Revoked = x.revoked
			if got, ok := v.Known(minted.Reveal()); !ok || got != want {
				t.Errorf("after: %+v, want %+v", got, want)
			}
			if x.removedRecords.Equal(now) && sentence == "deleted before its end" { // a restore from a backup
				index.Set(r)
				want.Revoked = false
				if got, ok := v.Known(minted.Reveal()); !ok || got != want {
					t.Errorf("restored: %+v, want %+v", got, want)
				}
			}
			if _, ok := v.Known(verifytest.Mint(t, token.Application, "never issued").Reveal()); ok {
				t.Error("one that was never issued is known")
			}
		})
	}
}

func TestKnown_ClientCannotDisplaceOthers(t *testing.T) {
	index := &verify.Index{}
	verify.NewVerifier(index, nil, verify.Options{Now: time.Now})
	index.SetMaxRemoved(100)
	remove := func(r record.Record) {
		index.Set(r)
		index.Remove(r.Digest)
	}
	remove(recordOf("acme", 0))
	for n := range 1000 { // created and deleted, and the same again
		remove(recordOf("hostile", n))
		remove(recordOf("hostile", n))
		index.Set(recordOf("hostile", n))
	}
	if !index.IsRemovedKnown(recordOf("acme", 0).Digest) {
		t.Error("a client that creates and deletes tokens makes the record of another be forgotten")
	}
	for c := range 10 {
		for n := range 100 {
			remove(recordOf(fmt.Sprintf("client%d", c), n))
		}
	}
	if n, queued := index.RemovedCounts(); n != 100 || queued > 400 {
		t.Errorf("%d records are remembered and %d queued, want 100", n, queued)
	}
	for c := range 10 {
		if d := recordOf(fmt.Sprintf("client%d", c), 99).Digest; !index.IsRemovedKnown(d) {
			t.Errorf("the last record of client %d is forgotten", c)
		}
	}
}
