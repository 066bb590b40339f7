package kube_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// recordMap is a sink that holds the records that it received. The zero recordMap is empty and
// ready.
type recordMap struct {
	mu      sync.Mutex
	records map[token.Digest]record.Record
}

func (m *recordMap) Set(r record.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[token.Digest]record.Record{}
	}
	m.records[r.Digest] = r
}

func (m *recordMap) Remove(d token.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, d)
}

func (*recordMap) RememberDeleted(record.Record) {}

// Find returns the record of a digest, or nil.
func (m *recordMap) Find(d token.Digest) *record.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[d]; ok {
		return &r
	}
	return nil
}

// Len returns the number of records.
func (m *recordMap) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

// watchedIndex holds what a watch on the real API server reports, over a connection that can be
// cut.
type watchedIndex struct {
	*testing.T
	*kube.Store // writes as another replica would
	index       recordMap
	transport   *cuttableTransport
	gaps        atomic.Int64 // deletions that the watch did not report
}

func newWatchedIndex(t *testing.T, before ...record.Record) *watchedIndex {
	t.Helper()
	ns := createNamespace(t)
	f := &watchedIndex{T: t, Store: kube.New(api, api, ns)}
	for _, r := range before {
		f.add(r)
	}
	way, err := rest.HTTPClientFor(admin)
	must(t, err)
	f.transport = newCuttableTransport(way.Transport)
	way.Transport = f.transport
	var complete func() bool
	newCacheOver(t, way, ns, func(c cache.Cache) {
		informer, err := c.GetInformer(t.Context(), &v1alpha1.TokenRecord{}, cache.BlockUntilSynced(false))
		must(t, err)
		registered, err := informer.AddEventHandler(f)
		must(t, err)
		complete = registered.HasSynced
	})
	await(t, "the index is complete", complete)
	return f
}

// OnAdd, OnUpdate and OnDelete call the handler of NewEventHandler, and count gaps.
func (f *watchedIndex) OnAdd(obj any, initial bool) {
	kube.NewEventHandler(&f.index).OnAdd(obj, initial)
}

func (f *watchedIndex) OnUpdate(before, obj any) {
	kube.NewEventHandler(&f.index).OnUpdate(before, obj)
}

func (f *watchedIndex) OnDelete(obj any) {
	if _, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		f.gaps.Add(1)
	}
	kube.NewEventHandler(&f.index).OnDelete(obj)
}

func (f *watchedIndex) add(r record.Record) record.Record {
	f.Helper()
	r, err := f.Add(f.Context(), r)
	must(f.T, err)
	return r
}

func (f *watchedIndex) suspend(r record.Record) {
	f.Helper()
	after := r
	after.Suspended = true
	_, err := f.Change(f.Context(), r, after)
	must(f.T, err)
}

func (f *watchedIndex) retire(r record.Record) {
	f.Helper()
	must(f.T, f.RetireAnyway(f.Context(), r))
}

// waitForState waits until the index holds a record as live or suspended, or does not hold it.
func (f *watchedIndex) waitForState(d token.Digest, what string) {
	f.Helper()
	await(f.T, "the record is "+what, func() bool {
		switch r := f.index.Find(d); {
		case r == nil:
			return what == "gone"
		case r.Suspended:
			return what == "suspended"
		default:
			return what == "live"
		}
	})
}

func TestEventHandler_KeepsIndexUpToDate(t *testing.T) {
	t.Run("what was there before is in it once it is complete", func(t *testing.T) {
		t.Parallel()
		f := newWatchedIndex(t, sample("a"), sample("b"), sample("c"))
		if n := f.index.Len(); n != 3 {
			t.Fatalf("%d records", n)
		}
		if got := f.index.Find(sample("b").Digest); got == nil || got.Owner != sample("b").Owner || got.Client != "acme" || !got.IssuedAt.Equal(noon) {
			t.Errorf("found %+v", got)
		}
	})
	t.Run("it follows a record through its life", func(t *testing.T) {
		t.Parallel()
		f := newWatchedIndex(t)
		a, b := f.add(sample("a")), f.add(sample("b"))
		f.waitForState(a.Digest, "live")
		f.suspend(a)
		f.waitForState(a.Digest, "suspended")
		f.retire(a)
		f.waitForState(a.Digest, "gone")
		f.waitForState(b.Digest, "live")
		if n := f.index.Len(); n != 1 {
			t.Errorf("%d records", n)
		}
	})
	t.Run("it knows nothing of other namespaces", func(t *testing.T) {
		t.Parallel()
		elsewhere := kube.New(api, api, createNamespace(t))
		f := newWatchedIndex(t)
		_, err := elsewhere.Add(t.Context(), sample("a"))
		must(t, err)
		f.waitForState(f.add(sample("b")).Digest, "live")
		if f.index.Find(sample("a").Digest) != nil || f.index.Len() != 1 {
			t.Errorf("%d records", f.index.Len())
		}
	})
	t.Run("a record that was deleted goes though something holds it back [3.3]", func(t *testing.T) {
		t.Parallel()
		f := newWatchedIndex(t)
		s := storeFixture{T: t, Store: f.Store, first: f.add(sample("a"))}
		s.patch(`{"metadata": {"finalizers": ["example.com/archive"]}}`)
		f.waitForState(s.first.Digest, "live")
		must(t, api.Delete(t.Context(), s.object()))
		f.waitForState(s.first.Digest, "gone")
		s.patch(`{"metadata": {"finalizers": null}}`)
		f.waitForState(f.add(sample("a")).Digest, "live")
	})
	for what, expired := range map[string]bool{"while the watch was broken": false, "and the API server has forgotten": true} {
		t.Run("it catches up with what happened "+what, func(t *testing.T) {
			t.Parallel()
			f := newWatchedIndex(t)
			retired, changed, restored, kept := f.add(sample("retired")), f.add(sample("changed")), f.add(sample("restored")), f.add(sample("kept"))
			for _, r := range []record.Record{retired, changed, restored, kept} {
				f.waitForState(r.Digest, "live")
			}

			f.transport.cut()
			f.retire(retired)
			f.suspend(changed)
			f.retire(restored)
			again := sample("restored")
			again.Suspended = true
			f.add(again)
			added := f.add(sample("added"))
			f.waitForState(retired.Digest, "live") // that is how stale the index may be
			f.transport.restore(expired)

			f.waitForState(retired.Digest, "gone")
			f.waitForState(changed.Digest, "suspended")
			f.waitForState(restored.Digest, "suspended")
			f.waitForState(added.Digest, "live")
			f.waitForState(kept.Digest, "live")
			if n := f.index.Len(); n != 4 {
				t.Errorf("%d records", n)
			}
			if expired && f.gaps.Load() == 0 {
				t.Error("no deletion was learned from a list, so this shows something else")
			}
		})
	}
	t.Run("it ends up as the store is, whichever client wrote", func(t *testing.T) {
		t.Parallel()
		f := newWatchedIndex(t)
		const many = 60
		for i := range many {
			r := f.add(sample(strconv.Itoa(i)))
			switch i % 3 {
			case 1:
				f.suspend(r)
			case 2:
				f.retire(r)
			}
		}
		for i := range many {
			f.waitForState(sample(strconv.Itoa(i)).Digest, []string{"live", "suspended", "gone"}[i%3])
		}
		if n := f.index.Len(); n != many/3*2 {
			t.Errorf("%d records", n)
		}
	})
}

// object returns a TokenRecord as a watch reports it.
func object(label string, twists ...func(*v1alpha1.TokenRecord)) *v1alpha1.TokenRecord {
	r := sample(label)
	obj := &v1alpha1.TokenRecord{
		ObjectMeta: metav1.ObjectMeta{Name: r.Name()},
		Spec:       v1alpha1.TokenRecordSpec{Kind: v1alpha1.RecordKindApplication, Digest: v1alpha1.Digest(r.Digest.String()), IssuedAt: metav1.NewTime(noon)},
	}
	for _, twist := range twists {
		twist(obj)
	}
	return obj
}

func withUnknownKind(obj *v1alpha1.TokenRecord) { obj.Spec.Kind = "Strange" }

func withMalformedDigest(obj *v1alpha1.TokenRecord) { obj.Spec.Digest = "garbled" }

func withDeletionTimestamp(obj *v1alpha1.TokenRecord) {
	obj.DeletionTimestamp = new(metav1.NewTime(noon.Add(time.Hour)))
}

func withTwinDigest(obj *v1alpha1.TokenRecord) {
	obj.Spec.Digest = obj.Spec.Digest[:63] + map[bool]v1alpha1.Digest{true: "1", false: "0"}[obj.Spec.Digest[63:] == "0"]
}

// These subtests pass events by hand that an API server never sends, or only after an ill-timed
// gap.
func TestEventHandler_UnreadableRecordsVouchForNothing(t *testing.T) {
	for sentence, c := range map[string]struct {
		bring func(toolscache.ResourceEventHandler)
		want  []*v1alpha1.TokenRecord
	}{
		"a record that cannot be read is not added": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnAdd(object("b", withMalformedDigest), true) },
			want:  []*v1alpha1.TokenRecord{object("a")},
		},
		"a record of a kind that is not known is not added": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnAdd(object("b", withUnknownKind), true) },
			want:  []*v1alpha1.TokenRecord{object("a")},
		},
		"a record that was deleted is not added": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnAdd(object("b", withDeletionTimestamp), true) },
			want:  []*v1alpha1.TokenRecord{object("a")},
		},
		"a record that cannot be read any more goes": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnUpdate(object("a"), object("a", withMalformedDigest)) },
		},
		"a record that can be read again comes": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnUpdate(object("b", withMalformedDigest), object("b")) },
			want:  []*v1alpha1.TokenRecord{object("a"), object("b")},
		},
		"another record in the place of one ends that one": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnUpdate(object("a"), object("a", withTwinDigest)) },
			want:  []*v1alpha1.TokenRecord{object("a", withTwinDigest)},
		},
		"another record that was deleted in the place of one ends both": {
			bring: func(h toolscache.ResourceEventHandler) {
				h.OnUpdate(object("a"), object("a", withTwinDigest, withDeletionTimestamp))
			},
		},
		"the deletion of what was deleted before is none": {
			bring: func(h toolscache.ResourceEventHandler) {
				h.OnUpdate(object("a"), object("a", withDeletionTimestamp))
				h.OnDelete(object("a", withDeletionTimestamp))
			},
		},
		"a deletion that was not observed counts": {
			bring: func(h toolscache.ResourceEventHandler) {
				h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: object("a").Name, Obj: object("a")})
			},
		},
		"a deletion that comes with the mark of one counts": {
			bring: func(h toolscache.ResourceEventHandler) { h.OnDelete(object("a", withDeletionTimestamp)) },
		},
		"a deletion of another object is ignored": {
			bring: func(h toolscache.ResourceEventHandler) {
				h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: object("a").Name})
				h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: object("a").Name, Obj: &corev1.Secret{}})
				h.OnDelete(&corev1.Secret{})
				h.OnDelete(object("b"))
				h.OnDelete(object("a", withMalformedDigest))
				h.OnDelete(nil)
			},
			want: []*v1alpha1.TokenRecord{object("a")},
		},
		"an object of another kind is ignored": {
			bring: func(h toolscache.ResourceEventHandler) {
				h.OnAdd(&corev1.Secret{}, false)
				h.OnUpdate(&corev1.Secret{}, &corev1.Secret{})
			},
			want: []*v1alpha1.TokenRecord{object("a")},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var x recordMap
			h := kube.NewEventHandler(&x)
			h.OnAdd(object("a"), true)
			c.bring(h)
			for _, obj := range c.want {
				d, err := token.ParseDigest(string(obj.Spec.Digest))
				must(t, err)
				if x.Find(d) == nil {
					t.Errorf("%v is not known", d)
				}
			}
			if x.Len() != len(c.want) {
				t.Errorf("%d records, want %d", x.Len(), len(c.want))
			}
		})
	}
}
