package kube_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

func TestFromObject_RejectsInvalidRecords(t *testing.T) {
	const marked = "ata_marked0secret0which0no0error0may0ever0contain0"
	set := func(digest string) func(*v1alpha1.TokenRecord) {
		return func(obj *v1alpha1.TokenRecord) { obj.Spec.Digest = v1alpha1.Digest(digest) }
	}
	good := string(object("a").Spec.Digest)
	for what, c := range map[string]struct {
		obj  *v1alpha1.TokenRecord
		want error
	}{
		"no digest":               {object("a", set("")), token.ErrMalformedDigest},
		"a digest cut short":      {object("a", set(good[:63])), token.ErrMalformedDigest},
		"a digest in capitals":    {object("a", set(strings.ToUpper(good))), token.ErrMalformedDigest},
		"a token for a digest":    {object("a", set(marked)), token.ErrMalformedDigest},
		"another's name":          {object("a", func(obj *v1alpha1.TokenRecord) { obj.Name = object("b").Name }), record.ErrAmbiguous},
		"no name":                 {object("a", func(obj *v1alpha1.TokenRecord) { obj.Name = "" }), record.ErrAmbiguous},
		"a name with a tail":      {object("a", func(obj *v1alpha1.TokenRecord) { obj.Name += "0" }), record.ErrAmbiguous},
		"the digest of another's": {object("a", set(string(object("b").Spec.Digest))), record.ErrAmbiguous},
	} {
		got, err := kube.FromObject(c.obj)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.obj.Name) {
			t.Errorf("%s: the error is %v, want %v of %s", what, err, c.want, c.obj.Name)
			continue
		}
		if strings.Contains(err.Error(), "marked") { // [row 10]
			t.Errorf("%s: the error reveals it: %v", what, err)
		}
		if got.Digest != (token.Digest{}) {
			t.Errorf("%s: read %+v all the same", what, got)
		}
	}
	if _, err := kube.FromObject(object("a", withTwinDigest)); err != nil {
		t.Errorf("a digest whose first half is in the name: %v", err)
	}
}

func TestFromObject_PresentTimeIsNeverZero(t *testing.T) { // [row 17]
	for what, c := range map[string]struct {
		stored *metav1.Time
		absent bool
	}{
		"absent":            {nil, true},
		"the year 1":        {new(metav1.Time{}), false},
		"its second second": {new(metav1.NewTime(time.Time{}.Add(time.Second))), false},
		"the epoch":         {new(metav1.Unix(0, 0)), false},
		"noon":              {new(metav1.NewTime(noon)), false},
	} {
		r, err := kube.FromObject(object("a", func(obj *v1alpha1.TokenRecord) {
			obj.Spec.ExpiresAt, obj.Spec.SupersededAt = c.stored, c.stored
		}))
		must(t, err)
		for field, got := range map[string]time.Time{"ExpiresAt": r.ExpiresAt, "SupersededAt": r.SupersededAt} {
			if got.IsZero() != c.absent {
				t.Errorf("%s: %s is %v", what, field, got)
			}
			if !c.absent && !got.Truncate(time.Second).Equal(c.stored.Time) {
				t.Errorf("%s: %s is %v, want %v", what, field, got, c.stored)
			}
		}
	}
}

func TestFromObject_SuspendedState(t *testing.T) {
	for state, want := range map[v1alpha1.State]bool{v1alpha1.StateActive: false, v1alpha1.StateSuspended: true, "": false} {
		r, err := kube.FromObject(object("a", func(obj *v1alpha1.TokenRecord) { obj.Spec.State = state }))
		if err != nil || r.Suspended != want {
			t.Errorf("in state %q it is suspended: %v (%v)", state, r.Suspended, err)
		}
	}
}
