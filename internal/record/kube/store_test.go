package kube_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/token"
)

func TestStore_PassesStoreSuite(t *testing.T) {
	for way, open := range clientsByWay {
		t.Run(way, func(t *testing.T) {
			recordtest.Run(t, func(t *testing.T) recordtest.Store {
				ns := createNamespace(t)
				return kube.New(open(t, ns), api, ns)
			})
		})
	}
}

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// sample returns the record of a credential that no client has. Its digest is derived from the
// label.
func sample(label string) record.Record {
	return record.Record{
		Kind:   token.Application,
		Digest: sha256.Sum256([]byte(label)), Hint: "…x7Qd",
		Owner:  record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "indexer", UID: "1"},
		Client: "acme", Roles: []string{"primary"}, IssuedAt: noon, Version: 1,
	}
}

// storeFixture is a store of TokenRecords in a namespace, with a record that other clients write to
// as well.
type storeFixture struct {
	*testing.T
	*kube.Store
	first record.Record
}

// patch changes the record as a user of kubectl would.
func (s storeFixture) patch(patch string, subresource ...string) {
	s.Helper()
	obj, by := s.object(), client.RawPatch(types.MergePatchType, []byte(patch))
	if len(subresource) > 0 {
		must(s.T, api.SubResource(subresource[0]).Patch(s.Context(), obj, by))
		return
	}
	must(s.T, api.Patch(s.Context(), obj, by))
}

// object returns the current TokenRecord.
func (s storeFixture) object() *v1alpha1.TokenRecord {
	s.Helper()
	var obj v1alpha1.TokenRecord
	must(s.T, api.Get(s.Context(), client.ObjectKey{Namespace: s.Namespace(), Name: s.first.Name()}, &obj))
	return &obj
}

// suspendRecord suspends the current record, and returns its new state.
func (s storeFixture) suspendRecord() record.Record {
	s.Helper()
	before, err := s.Confirm(s.Context(), s.first.Name())
	must(s.T, err)
	after := before
	after.Suspended = true
	after, err = s.Change(s.Context(), before, after)
	must(s.T, err)
	return after
}

// kubeSubtests are subtests about TokenRecords, which clients other than the store can write to.
var kubeSubtests = map[string]func(s storeFixture){
	"what an administrator put on a record survives a change": func(s storeFixture) {
		s.patch(`{"metadata": {"labels": {"team": "shop"}, "annotations": {"why": "audit"}, "finalizers": ["example.com/archive"]}}`)
		s.suspendRecord()
		got := s.object()
		if got.Labels["team"] != "shop" || got.Annotations["why"] != "audit" || !slices.Equal(got.Finalizers, []string{"example.com/archive"}) {
			s.Errorf("left are %v, %v and %v", got.Labels, got.Annotations, got.Finalizers)
		}
		if got.Spec.State != v1alpha1.StateSuspended {
			s.Errorf("it is %s", got.Spec.State)
		}
		s.patch(`{"metadata": {"finalizers": null}}`)
	},
	"the last use survives a change, and is reported": func(s storeFixture) {
		s.patch(`{"status": {"lastUsedAt": "2026-03-01T12:30:00Z", "lastUsedFrom": "10.0.0.1"}}`, "status")
		changed := s.suspendRecord()
		read, err := s.Get(s.Context(), s.first.Name())
		must(s.T, err)
		for what, got := range map[string]record.Record{"Change": changed, "Get": read} {
			if !got.LastUsedAt.Equal(noon.Add(30*time.Minute)) || got.LastUsedFrom != "10.0.0.1" {
				s.Errorf("%s: last used at %v from %q", what, got.LastUsedAt, got.LastUsedFrom)
			}
		}
	},
	"fields that a Record does not know survive a change": func(s storeFixture) {
		digest := strings.Repeat("0f", 32)
		s.patch(`{"spec": {"user": "alice", "idleTimeout": "30m", "credential": "c0ffee", "refresh": {"digest": "` + digest + `", "family": "` + digest + `"}}}`)
		s.suspendRecord()
		got := s.object().Spec
		if got.User != "alice" || got.IdleTimeout != "30m" || got.Credential != "c0ffee" ||
			got.Refresh == nil || string(got.Refresh.Digest) != digest {
			s.Errorf("left is %+v", got)
		}
	},
	"a change by another writer makes a change stale": func(s storeFixture) {
		for what, c := range map[string]struct{ patch, subresource string }{
			"a label":  {`{"metadata": {"labels": {"team": "shop"}}}`, ""},
			"a field":  {`{"spec": {"client": "globex"}}`, ""},
			"last use": {`{"status": {"lastUsedAt": "2026-03-01T12:30:00Z"}}`, "status"},
		} {
			before, err := s.Confirm(s.Context(), s.first.Name())
			must(s.T, err)
			if c.subresource == "" {
				s.patch(c.patch)
			} else {
				s.patch(c.patch, c.subresource)
			}
			after := before
			after.Suspended = true
			if _, err := s.Change(s.Context(), before, after); !errors.Is(err, record.ErrStale) {
				s.Errorf("%s: Change: %v", what, err)
			}
			if err := s.Retire(s.Context(), before); !errors.Is(err, record.ErrStale) {
				s.Errorf("%s: Retire: %v", what, err)
			}
		}
	},
	"a record that was deleted is gone while something holds it back [3.3]": func(s storeFixture) {
		s.patch(`{"metadata": {"finalizers": ["example.com/archive"]}}`)
		must(s.T, api.Delete(s.Context(), s.object()))
		await(s.T, "it is not listed any more", func() bool {
			listed, err := s.ListByOwner(s.Context(), s.first.Owner)
			must(s.T, err)
			return len(listed) == 0
		})
		for way, err := range s.readErrors() {
			if !errors.Is(err, record.ErrGone) {
				s.Errorf("%s: %v", way, err)
			}
		}
		s.patch(`{"metadata": {"finalizers": null}}`)
	},
	"what was deleted behind the store's back is ErrGone": func(s storeFixture) {
		must(s.T, api.Delete(s.Context(), s.object()))
		after := s.first
		after.Suspended = true
		if _, err := s.Change(s.Context(), s.first, after); !errors.Is(err, record.ErrGone) {
			s.Errorf("Change: %v", err)
		}
		must(s.T, s.Retire(s.Context(), s.first))
		must(s.T, s.RetireAnyway(s.Context(), s.first))
		await(s.T, "every way to it says so", func() bool {
			return !slices.ContainsFunc(slices.Collect(maps.Values(s.readErrors())), func(err error) bool { return !errors.Is(err, record.ErrGone) })
		})
	},
	"what the API server refuses is not stored": func(s storeFixture) {
		was := s.object().ResourceVersion
		for what, twist := range map[string]func(*record.Record){
			"no owner":                    func(r *record.Record) { r.Owner = record.Owner{} },
			"an owner of another kind":    func(r *record.Record) { r.Owner.Kind = "Secret" },
			"no time of issue":            func(r *record.Record) { r.IssuedAt = time.Time{} },
			"a negative version":          func(r *record.Record) { r.Version = -1 },
			"a role that is none":         func(r *record.Record) { r.Roles = []string{"a b"} },
			"the same role twice":         func(r *record.Record) { r.Roles = []string{"a", "a"} },
			"a permission that is none":   func(r *record.Record) { r.Permissions = []string{"a.*.b"} },
			"a range that is none":        func(r *record.Record) { r.SourceRanges = []string{"10.0.0.0/33"} },
			"a hint that shows too much":  func(r *record.Record) { r.Hint = "…x7Qd2MSLn" },
			"the name of no record":       func(r *record.Record) { r.Predecessor = r.Digest.String() },
			"a client of endless name":    func(r *record.Record) { r.Client = strings.Repeat("a", 64) },
			"a trigger of endless length": func(r *record.Record) { r.Trigger = strings.Repeat("a", 254) },
		} {
			r := sample(what)
			twist(&r)
			if _, err := s.Add(s.Context(), r); !apierrors.IsInvalid(err) {
				s.Errorf("Add of %s: %v", what, err)
			}
			if _, err := s.Find(s.Context(), r.Digest); !errors.Is(err, record.ErrGone) {
				s.Errorf("Find after %s: %v", what, err)
			}
			after := s.first
			twist(&after)
			if _, err := s.Change(s.Context(), s.first, after); !apierrors.IsInvalid(err) {
				s.Errorf("Change to %s: %v", what, err)
			}
		}
		if is := s.object().ResourceVersion; is != was {
			s.Error("the record that was there has changed")
		}
	},
	"errors name the record and keep its digest to themselves": func(s storeFixture) {
		other := sample("first")
		other.Digest[31] ^= 1
		_, exists := s.Add(s.Context(), sample("first"))
		_, ambiguous := s.Find(s.Context(), other.Digest)
		s.suspendRecord()
		_, stale := s.Change(s.Context(), s.first, s.first)
		staleToo := s.Retire(s.Context(), s.first)
		must(s.T, s.RetireAnyway(s.Context(), s.first))
		_, gone := s.Change(s.Context(), s.first, s.first)
		_, goneToo := s.Confirm(s.Context(), s.first.Name())
		_, unread := s.Change(s.Context(), sample("first"), sample("first"))
		unreadToo := s.RetireAnyway(s.Context(), sample("first"))
		for i, err := range []error{exists, ambiguous, stale, staleToo, gone, goneToo, unread, unreadToo} {
			if err == nil || !strings.Contains(err.Error(), s.first.Name()) || strings.Contains(fmt.Sprintf("%+v", err), s.first.Digest.String()) {
				s.Errorf("error %d is %v", i, err)
			}
		}
	},
}

// readErrors returns the errors of all ways to read the record.
func (s storeFixture) readErrors() map[string]error {
	_, get := s.Get(s.Context(), s.first.Name())
	_, confirm := s.Confirm(s.Context(), s.first.Name())
	_, find := s.Find(s.Context(), s.first.Digest)
	return map[string]error{"Get": get, "Confirm": confirm, "Find": find}
}

func TestStore_SharesRecordsWithOtherWriters(t *testing.T) {
	for way, open := range clientsByWay {
		all := maps.Clone(kubeSubtests)
		maps.Copy(all, loginSubtests)
		for sentence, holds := range all {
			t.Run(way+"/"+sentence, func(t *testing.T) {
				t.Parallel()
				ns := createNamespace(t)
				s := storeFixture{T: t, Store: kube.New(open(t, ns), api, ns)}
				var err error
				s.first, err = s.Add(t.Context(), sample("first"))
				must(t, err)
				holds(s)
			})
		}
	}
}

func TestOwnedBy_FindsOneOwnerByOneField(t *testing.T) {
	all := map[string]string{} // what finds the records of whom
	for _, namespace := range []string{"", "shop", "blog"} {
		for _, name := range []string{"alice", "shop"} {
			obj := &v1alpha1.TokenRecord{Spec: v1alpha1.TokenRecordSpec{Owner: v1alpha1.RecordOwner{Namespace: namespace, Name: name}}}
			by, of := kube.OwnedBy(namespace, name), kube.OwnerOf(obj)
			if len(by) != 1 || len(of) != 1 || by[kube.IndexOwner] != of[0] || all[of[0]] != "" {
				t.Errorf("%s of %q is found by %v, as %v, as is %q", name, namespace, by, of, all[of[0]])
			}
			all[of[0]] = name + " of " + namespace
		}
	}
}
