package tokenrecord_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// accessFixture is a fixture with a token in its Secret, and a login service.
type accessFixture struct {
	*operatortest.Fixture
	operator *operatortest.Operator
	logins   *login.Service
}

func newAccessFixture(t *testing.T) *accessFixture {
	w := operatortest.New(t, api)
	o := w.NewOperator(api, api)
	w.Must(w.DeclareToken())
	w.Must(o.Settle())
	return &accessFixture{w, o, w.NewLoginService(nil)}
}

// open exchanges the token in the Secret for an access token.
func (w *accessFixture) open() record.Record {
	w.T.Helper()
	c, _ := w.logins.Directory.Client(w.ClientName)
	o, err := w.logins.OpenAccess(w.Ctx, w.TokenInSecret().Digest(), c, []string{"search.query"})
	w.Must(err)
	return o.Record
}

// countAccess counts the records of access tokens.
func (w *accessFixture) countAccess() (n int) {
	w.T.Helper()
	var list v1alpha1.TokenRecordList
	w.Must(api.List(w.Ctx, &list))
	for i := range list.Items {
		if r := &list.Items[i]; r.Namespace == w.OwnNamespace && r.Spec.Kind == v1alpha1.RecordKindAccess {
			n++
		}
	}
	return n
}

// The reconciler of ApplicationTokens takes no access token for a version of its own.
func TestAccessRecords_AreNoVersions(t *testing.T) {
	w := newAccessFixture(t)
	before := w.TokenInSecret().Reveal()
	access := w.open()
	if access.Kind != token.Access || access.UID == "" {
		t.Fatalf("%+v", access)
	}
	w.Now = w.Now.Add(2 * login.CollectDelay)
	w.Must(w.operator.Settle())
	if w.TokenInSecret().Reveal() != before || w.countAccess() != 1 || w.RecordsLeft() != 2 {
		t.Errorf("%d access tokens in %d records", w.countAccess(), w.RecordsLeft())
	}
	stored, err := w.Store().Confirm(w.Ctx, access.Name())
	if err != nil || stored.Parent != w.TokenInSecret().Digest() || len(stored.Permissions) != 1 {
		t.Errorf("%v %+v", err, stored)
	}
	w.Must(w.CheckInvariants())
}

func TestGarbageCollection_DeletesAccessTokensThatAreOver(t *testing.T) {
	for name, end := range map[string]func(w *accessFixture){
		"at their end": func(w *accessFixture) { w.Now = w.Now.Add(time.Hour + 2*login.CollectDelay) },
		"with the record of their parent": func(w *accessFixture) {
			w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: w.TokenInSecret().Digest().RecordName()}}))
			w.Now = w.Now.Add(2 * login.CollectDelay)
		},
		"with the ApplicationToken": func(w *accessFixture) {
			w.Must(api.Delete(w.Ctx, w.Token()))
			w.Must(w.operator.Settle())
			w.Now = w.Now.Add(2 * login.CollectDelay)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAccessFixture(t)
			w.open()
			w.open()
			w.Must(w.operator.Settle())
			if n := w.countAccess(); n != 2 {
				t.Fatalf("%d access tokens before", n)
			}
			end(w)
			w.Must(w.operator.Settle())
			if n := w.countAccess(); n != 0 {
				t.Errorf("%d access tokens are left", n)
			}
		})
	}
}

// Several replicas that issue access tokens at once may each miss what the others issue.
func TestGarbageCollection_KeepsBoundOfAccessTokens(t *testing.T) {
	w := newAccessFixture(t)
	parent, err := w.Store().Find(w.Ctx, w.TokenInSecret().Digest())
	w.Must(err)
	oldest, last := "", ""
	for i := range login.MaxAccessTokens + 3 {
		minted, err := token.Mint(token.Access, w.operator.Tokens.Entropy)
		w.Must(err)
		r, err := w.Store().Add(w.Ctx, record.Record{
			Kind: token.Access, Digest: minted.Digest(), Parent: parent.Digest, Client: parent.Client, IssuedAt: w.Now.Add(time.Duration(i) * time.Second),
			ExpiresAt: w.Now.Add(time.Hour), Owner: record.Owner{Kind: login.OwnerKindRecord, Name: parent.Name(), UID: parent.UID},
		})
		w.Must(err)
		if i == 0 {
			oldest = r.Name()
		}
		last = r.Name()
	}
	w.Now = w.Now.Add(2*login.CollectDelay + 5*time.Minute)
	var newest v1alpha1.TokenRecord
	w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: last}, &newest))
	_, err = w.operator.Records.Reconcile(w.Ctx, &newest)
	w.Must(err)
	if n := w.countAccess(); n != login.MaxAccessTokens || w.HasRecord(oldest) {
		t.Errorf("%d access tokens, want %d; the oldest is there: %t", n, login.MaxAccessTokens, w.HasRecord(oldest))
	}
}
