package hashtable_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/hashtable"
)

// digestOf returns the digest of the credential with that number.
func digestOf(i int) token.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// numberedRecord returns a record of which two fields hold the same number, so that a torn read
// shows.
func numberedRecord(d token.Digest, n int) record.Record {
	return record.Record{Kind: token.Application, Digest: d, Version: int64(n), Trigger: strconv.Itoa(n)}
}

// wantVersion asserts the version that a table holds for a digest; 0: none.
func wantVersion(t *testing.T, x *recordTable, d token.Digest, want int) {
	t.Helper()
	switch got := x.Find(d); {
	case got == nil:
		if want != 0 {
			t.Errorf("nothing is known of %v, want version %d", d, want)
		}
	case got.Version != int64(want) || got.Digest != d || got.Trigger != strconv.Itoa(want):
		t.Errorf("found %v in version %d (%s), want %v in version %d", got.Digest, got.Version, got.Trigger, d, want)
	}
}

func TestHashTable_ZeroValueIsReady(t *testing.T) {
	var x recordTable
	for _, d := range []token.Digest{{}, digestOf(1)} {
		wantVersion(t, &x, d, 0)
		x.Remove(d)
		if x.Len() != 0 {
			t.Errorf("%d records after one that was never there was removed", x.Len())
		}
	}
	x.Set(numberedRecord(digestOf(1), 1))
	wantVersion(t, &x, digestOf(1), 1)
}

func TestHashTable_ReturnsLastWrite(t *testing.T) {
	var x recordTable
	random := rand.New(rand.NewPCG(1, 2))
	want := map[token.Digest]int{}
	for n := 1; n <= 20_000; n++ {
		d := digestOf(random.IntN(300))
		binary.BigEndian.PutUint16(d[:], uint16(random.IntN(4))<<14|uint16(random.IntN(3))) // in three places
		if random.IntN(3) == 0 {
			x.Remove(d)
			delete(want, d)
		} else {
			x.Set(numberedRecord(d, n))
			want[d] = n
		}
		wantVersion(t, &x, d, want[d])
		if x.Len() != len(want) {
			t.Fatalf("after %d writes it has %d records, want %d", n, x.Len(), len(want))
		}
	}
	for d, n := range want {
		wantVersion(t, &x, d, n)
	}
}

func TestHashTable_OtherDigestFindsNothing(t *testing.T) {
	var x recordTable
	for i := range 1000 {
		x.Set(numberedRecord(digestOf(i), 1))
	}
	d := digestOf(7)
	for bit := range len(d) * 8 {
		off := d
		off[bit/8] ^= 1 << (bit % 8)
		wantVersion(t, &x, off, 0)
	}
	for i := 1000; i < 10_000; i++ {
		wantVersion(t, &x, digestOf(i), 0)
	}
	wantVersion(t, &x, token.Digest{}, 0)
	wantVersion(t, &x, d, 1)
}

func TestHashTable_FoundItemDoesNotChange(t *testing.T) {
	var x recordTable
	d := digestOf(1)
	r := numberedRecord(d, 1)
	x.Set(r)
	found := x.Find(d)
	r.Version = 9
	x.Set(numberedRecord(d, 2))
	x.Remove(d)
	if found.Version != 1 || found.Trigger != "1" {
		t.Errorf("it has become %+v", found)
	}
}

func TestHashTable_ConcurrentReadersAndWriters(t *testing.T) {
	const writers, readers, each, rounds = 4, 4, 50, 40
	var x recordTable
	// All digests begin in one place, where a writer that does not see another would undo its work.
	at := func(i int) token.Digest {
		d := digestOf(i)
		copy(d[:7], "backlog")
		return d
	}
	const kept, replaced = -1, -2
	x.Set(numberedRecord(at(kept), 1))
	x.Set(numberedRecord(at(replaced), 1))

	var writing, reading sync.WaitGroup
	var over atomic.Bool
	for w := range writers {
		writing.Go(func() {
			for n := 1; n <= rounds; n++ {
				for i := range each {
					x.Set(numberedRecord(at(w*each+i), n))
				}
				x.Set(numberedRecord(at(replaced), n))
				for i := range each / 2 {
					x.Remove(at(w*each + 2*i))
				}
			}
		})
	}
	for range readers {
		reading.Go(func() {
			for !over.Load() {
				for i := range writers * each {
					if got := x.Find(at(i)); got != nil && (got.Digest != at(i) || got.Trigger != strconv.FormatInt(got.Version, 10)) {
						t.Errorf("found half of a record: %+v", got)
						return
					}
				}
				if x.Find(at(kept)) == nil || x.Find(at(replaced)) == nil {
					t.Error("a record was hidden while another was written")
					return
				}
				if n := x.Len(); n < 2 || n > 2+writers*each {
					t.Errorf("%d records", n)
					return
				}
			}
		})
	}
	writing.Wait()
	over.Store(true)
	reading.Wait()

	for i := range writers * each {
		want := 0
		if i%2 == 1 {
			want = rounds
		}
		wantVersion(t, &x, at(i), want)
	}
	wantVersion(t, &x, at(kept), 1)
	wantVersion(t, &x, at(replaced), rounds)
	if want := 2 + writers*each/2; x.Len() != want {
		t.Errorf("%d records, want %d", x.Len(), want)
	}
}

func TestHashTable_FindAllocatesNothing(t *testing.T) {
	var x recordTable
	for i := range 1000 {
		x.Set(numberedRecord(digestOf(i), 1))
	}
	known, neighbour := digestOf(7), digestOf(7)
	neighbour[31] ^= 1
	for what, c := range map[string]struct {
		digest token.Digest
		found  bool
	}{
		"what is there":                 {known, true},
		"what is not there":             {digestOf(1000), false},
		"what would be beside a record": {neighbour, false},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if got := x.Find(c.digest); (got != nil) != c.found {
				t.Errorf("%s: found %v", what, got)
			}
		}); n != 0 {
			t.Errorf("Find of %s: %v allocations", what, n)
		}
	}
}

func BenchmarkHashTable_Find(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		var x recordTable
		known, unknown := make([]token.Digest, n), make([]token.Digest, n)
		for i := range n {
			known[i], unknown[i] = digestOf(i), digestOf(n+i)
			x.Set(numberedRecord(known[i], 1))
		}
		for what, digests := range map[string][]token.Digest{"known": known, "unknown": unknown} {
			b.Run(strconv.Itoa(n)+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if got := x.Find(digests[i%n]); (got != nil) != (what == "known") {
						b.Fatalf("found %v", got)
					}
				}
			})
		}
		b.Run(strconv.Itoa(n)+"/while another writes", func(b *testing.B) {
			var over atomic.Bool
			var writing sync.WaitGroup
			writing.Go(func() {
				for i := 0; !over.Load(); i++ {
					x.Set(numberedRecord(known[i%n], i))
				}
			})
			for i := 0; b.Loop(); i++ {
				if x.Find(known[i%n]) == nil {
					b.Fatal("found nothing")
				}
			}
			over.Store(true)
			writing.Wait()
		})
	}
}

// recordTable is a Table of whole records.
type recordTable struct {
	hashtable.Table[record.Record]
}

func (x *recordTable) Set(r record.Record) {
	x.Table.Set(&hashtable.Item[record.Record]{Digest: r.Digest, Value: r})
}

func (x *recordTable) Find(d token.Digest) *record.Record {
	if item := x.Table.Find(d); item != nil {
		return &item.Value
	}
	return nil
}
