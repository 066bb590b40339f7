package applicationtoken_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/applicationtoken"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// annotationPassedOn is the annotation that lists the labels and annotations that came from the
// spec.
const annotationPassedOn = "apptoken.dev/passed-on"

// mark is a label, annotation or reference by which the operator recognizes the Secret of a token.
type mark struct {
	name  string
	finds bool // this mark alone suffices to find the Secret
	strip func(*corev1.Secret)
}

var marks = []mark{
	{"label managed", true, func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelManaged) }},
	{"label token", true, func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelToken) }},
	{"annotation record", true, func(s *corev1.Secret) { delete(s.Annotations, v1alpha1.AnnotationRecord) }},
	{"annotation passed-on", false, func(s *corev1.Secret) { delete(s.Annotations, annotationPassedOn) }},
	{"owner reference", true, func(s *corev1.Secret) { s.OwnerReferences = nil }},
}

// strippedMarks returns the names of the marks of a subset, and whether a mark remains by which the
// operator finds the Secret.
func strippedMarks(subset int) (names string, found bool) {
	var all []string
	for i, m := range marks {
		if subset&(1<<i) != 0 {
			all = append(all, m.name)
		} else {
			found = found || m.finds
		}
	}
	return strings.Join(all, ", "), found
}

// editSecret changes the token's Secret as another tool would.
func (w *fixture) editSecret(change func(*corev1.Secret)) {
	w.T.Helper()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	change(&s)
	w.Must(api.Update(w.Ctx, &s))
}

// strip removes a subset of the marks from the token's Secret.
func (w *fixture) strip(subset int) {
	w.T.Helper()
	w.editSecret(func(s *corev1.Secret) {
		for i, m := range marks {
			if subset&(1<<i) != 0 {
				m.strip(s)
			}
		}
	})
}

// isMarked reports whether the token's Secret has every mark, with the newest record in its
// annotation.
func (w *fixture) isMarked() bool {
	w.T.Helper()
	return w.isMarkedWith(w.NewestRecordName())
}

// isMarkedWith reports whether the token's Secret has every mark, with the named record in its
// annotation.
func (w *fixture) isMarkedWith(name string) bool {
	w.T.Helper()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	return s.Labels[v1alpha1.LabelManaged] == "true" && s.Labels[v1alpha1.LabelToken] == s.Name &&
		s.Annotations[v1alpha1.AnnotationRecord] == name && metav1.IsControlledBy(&s, w.Token())
}

// startWithCache starts an operator that reads Secrets and tokens as if from the operator's cache.
func (w *fixture) startWithCache() *operatortest.Operator {
	c := w.Faults(0, operatortest.FaultMode{}).Wrap(api)
	return w.NewOperator(trimmingClient(c), c)
}

func TestMarks_EverySubsetIsRestored(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(*v1alpha1.ApplicationToken)
		statusLost bool
	}{
		"active":                {change: func(*v1alpha1.ApplicationToken) {}},
		"active without status": {change: func(*v1alpha1.ApplicationToken) {}, statusLost: true},
		"suspended":             {change: func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenSuspended }},
		"refused":               {change: func(at *v1alpha1.ApplicationToken) { at.Spec.Roles = []v1alpha1.RoleName{"unknown"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Must(w.declareLabelled("team"))
			o := w.startWithCache()
			w.Must(o.Settle())
			w.Must(w.EditToken(c.change))
			w.Must(o.Settle())
			issued := w.secretText()
			for subset := 1; subset < 1<<len(marks); subset++ {
				names, found := strippedMarks(subset)
				if c.statusLost && !found {
					continue // no mark and no status leads to this Secret
				}
				w.strip(subset)
				if c.statusLost {
					at := w.Token()
					at.Status = v1alpha1.ApplicationTokenStatus{}
					w.Must(api.Status().Update(w.Ctx, at))
				}
				w.Must(o.Settle())
				if w.secretText() != issued || w.RecordsLeft() != 1 || !w.isMarked() || w.Token().Status.Rotations != 0 || w.Token().Status.SecretName != "indexer" {
					t.Fatalf("without %s: the token is the same: %t, %d records, marked: %t, %d rotations, in Secret %q", names,
						w.secretText() == issued, w.RecordsLeft(), w.isMarked(), w.Token().Status.Rotations, w.Token().Status.SecretName)
				}
			}
		})
	}
}

// Deletion finds the Secret before the marks are restored.
func TestMarks_DeletionFindsTheSecret(t *testing.T) {
	for subset := 1; subset < 1<<len(marks); subset++ {
		names, _ := strippedMarks(subset)
		t.Run(names, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Must(w.declareLabelled("team"))
			o := w.startWithCache()
			w.Must(o.Settle())
			w.strip(subset)
			w.Must(api.Delete(w.Ctx, w.Token()))
			w.Must(o.Settle())
			if err := api.Get(w.Ctx, w.Key(), &corev1.Secret{}); !apierrors.IsNotFound(err) || w.RecordsLeft() != 0 {
				t.Errorf("the Secret: %v; %d records are left", err, w.RecordsLeft())
			}
		})
	}
}

func TestMarks_WrongOnesAreReplaced(t *testing.T) {
	for name, change := range map[string]func(w *fixture, s *corev1.Secret){
		"a record that is not there": func(_ *fixture, s *corev1.Secret) {
			s.Annotations[v1alpha1.AnnotationRecord] = "at-" + strings.Repeat("0", 32)
		},
		"a name that no record has": func(_ *fixture, s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationRecord] = "../x" },
		"the record of the version before": func(w *fixture, s *corev1.Secret) {
			s.Annotations[v1alpha1.AnnotationRecord] = w.Token().Status.Predecessors[0].Record
		},
		"the name of another token": func(_ *fixture, s *corev1.Secret) { s.Labels[v1alpha1.LabelToken] = "other" },
		"another value":             func(_ *fixture, s *corev1.Secret) { s.Labels[v1alpha1.LabelManaged] = "false" },
		"the owner of a former life": func(_ *fixture, s *corev1.Secret) {
			s.OwnerReferences[0].UID = "00000000-0000-0000-0000-000000000000"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.Must(w.declareLabelled("team"))
			o := w.startWithCache()
			w.Must(o.Settle())
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.Must(o.Settle())
			issued := w.secretText()
			w.editSecret(func(s *corev1.Secret) { change(w, s) })
			w.Must(o.Settle())
			w.Must(w.CheckInvariants())
			if w.secretText() != issued || w.RecordsLeft() != 2 || !w.isMarked() {
				t.Errorf("the token is the same: %t, %d records, marked: %t", w.secretText() == issued, w.RecordsLeft(), w.isMarked())
			}
		})
	}
}

// A token whose record was deleted is invalid, whatever still refers to that record.
func TestMarks_RevokedTokenIsNotFoundByItsDigest(t *testing.T) {
	w := newFixture(t)
	w.Must(w.declareLabelled("team"))
	o := w.startWithCache()
	w.Must(o.Settle())
	issued := w.secretText()
	w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: w.NewestRecordName()}}))
	w.strip(1<<len(marks) - 1)
	w.Must(o.Settle())
	if w.secretText() == issued || w.RecordsLeft() != 1 || !w.isMarked() {
		t.Errorf("the token is the same: %t, %d records, marked: %t", w.secretText() == issued, w.RecordsLeft(), w.isMarked())
	}
}

func TestMarks_RenameFindsTheFormerSecret(t *testing.T) {
	w := newFixture(t)
	w.Must(w.declareLabelled("team"))
	o := w.startWithCache()
	w.Must(o.Settle())
	issued := w.secretText()
	w.strip(1<<len(marks) - 1)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Secret.Name = "renamed" }))
	w.Must(o.Settle())
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.Namespace, Name: "renamed"}, &s))
	if err := api.Get(w.Ctx, w.Key(), &corev1.Secret{}); !apierrors.IsNotFound(err) || string(s.Data["token"]) != issued || w.RecordsLeft() != 1 {
		t.Errorf("the Secret of the former name: %v; the token is the same: %t", err, string(s.Data["token"]) == issued)
	}
}

// A mutating webhook that removes a mark from each write is reported, and the operator does not
// repeat the write without end.
func TestMarks_WebhookThatStripsThemIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		strips bool // from the first write on
		change func(*v1alpha1.ApplicationToken)
	}{
		"of a new token":         {true, func(*v1alpha1.ApplicationToken) {}},
		"of an active token":     {false, func(*v1alpha1.ApplicationToken) {}},
		"of a suspended token":   {false, func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenSuspended }},
		"of one that is refused": {false, func(at *v1alpha1.ApplicationToken) { at.Spec.Roles = []v1alpha1.RoleName{"unknown"} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			strips := c.strips
			fake := mutatingWebhook(w.Faults(0, operatortest.FaultMode{}).Wrap(api), func(s *corev1.Secret) {
				if strips {
					delete(s.Annotations, v1alpha1.AnnotationRecord)
				}
			})
			w.Must(w.declareLabelled("team"))
			o := w.NewOperator(fake, fake)
			w.Must(o.Settle())
			issued := w.secretText()
			strips = true
			w.Must(w.EditToken(c.change))
			w.editSecret(func(s *corev1.Secret) { delete(s.Annotations, v1alpha1.AnnotationRecord) })
			w.Must(o.Settle())
			before := w.Writes.Load()
			for range 3 {
				w.Must(o.Pass())
			}
			reason, message := operatortest.Readiness(w.Token())
			if reason != v1alpha1.ReasonSecretRefused || !strings.Contains(message, "admission webhook") || w.Writes.Load() != before {
				t.Errorf("%d writes; Ready is %s: %s", w.Writes.Load()-before, reason, message)
			}
			if w.secretText() != issued || w.RecordsLeft() != 1 {
				t.Errorf("the token is the same: %t, %d records", w.secretText() == issued, w.RecordsLeft())
			}
		})
	}
}

// mutatingWebhook changes each Secret that is written, as a mutating admission webhook does.
func mutatingWebhook(c client.WithWatch, change func(*corev1.Secret)) client.WithWatch {
	mutate := func(obj client.Object) {
		if s, is := obj.(*corev1.Secret); is {
			change(s)
		}
	}
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			mutate(obj)
			return c.Create(ctx, obj, o...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.UpdateOption) error {
			mutate(obj)
			return c.Update(ctx, obj, o...)
		},
	})
}

// The cache does not hold a Secret without the label. A read that waits there for a write ends at a
// deadline. So the deletion of such a Secret must not be waited for at all.
func TestMarks_SecretMissingFromCacheIsNoObstacle(t *testing.T) {
	w := newFixture(t)
	counted := w.Faults(0, operatortest.FaultMode{}).Wrap(api)
	behind := interceptor.NewClient(counted, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if _, is := obj.(*corev1.Secret); is {
				return fmt.Errorf("wait for the cache: %w", context.DeadlineExceeded)
			}
			return c.Get(ctx, key, obj, o...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			if _, is := obj.(*corev1.Secret); is && !new(client.DeleteOptions).ApplyOptions(o).DisableReadYourWritesConsistency {
				t.Error("reads wait for the deletion of a Secret that is not in the cache")
			}
			return c.Delete(ctx, obj, o...)
		},
	})
	w.Must(w.declareLabelled("team"))
	o := w.NewOperator(behind, counted)
	w.Must(o.Settle())
	issued := w.secretText()
	w.strip(1<<len(marks) - 1)
	w.Must(o.Settle())
	if w.secretText() != issued || w.RecordsLeft() != 1 || !w.isMarked() {
		t.Errorf("the token is the same: %t, %d records, marked: %t", w.secretText() == issued, w.RecordsLeft(), w.isMarked())
	}
	w.strip(1<<len(marks) - 1)
	w.Must(api.Delete(w.Ctx, w.Token()))
	w.Must(o.Settle())
	if err := api.Get(w.Ctx, w.Key(), &corev1.Secret{}); !apierrors.IsNotFound(err) || w.RecordsLeft() != 0 {
		t.Errorf("the Secret: %v; %d records are left", err, w.RecordsLeft())
	}
}

// Another tool can make the annotation name a record other than that of the token in the Secret,
// and remove other marks as well.
func TestMarks_GarbageCollectionKeepsRecordOfTokenInSecret(t *testing.T) {
	for subset := range 1 << len(marks) {
		if subset&(1<<slices.IndexFunc(marks, func(m mark) bool { return m.name == "annotation record" })) != 0 {
			continue
		}
		names, _ := strippedMarks(subset)
		t.Run("without "+names, func(t *testing.T) {
			w := newFixture(t)
			w.Must(w.DeclareToken())
			o := w.startWithCache()
			w.Must(o.Settle())
			held := w.NewestRecordName()
			tok, err := token.Mint(token.Application, rand.Reader)
			w.Must(err)
			r := w.NewestRecord()
			orphan, err := w.Store().Add(w.Ctx, record.Record{
				Kind: r.Kind, Digest: tok.Digest(), Hint: tok.Hint(), Owner: r.Owner, Client: r.Client, Roles: r.Roles, IssuedAt: r.IssuedAt, Version: r.Version,
			})
			w.Must(err)
			w.editSecret(func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationRecord] = orphan.Name() })
			w.strip(subset)
			w.Now = w.Now.Add(2 * plan.OrphanAge)
			var obj v1alpha1.TokenRecord
			w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: held}, &obj))
			_, err = o.Records.Reconcile(w.Ctx, &obj)
			w.Must(err)
			if err := api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: held}, &obj); err != nil {
				t.Fatalf("the record of the token in the Secret: %v", err)
			}
			w.Must(o.Settle())
			if !w.isMarkedWith(held) || w.RecordsLeft() != 1 {
				t.Errorf("marked: %t; %d records are left", w.isMarkedWith(held), w.RecordsLeft())
			}
		})
	}
}

// A template can put the token into every key, and another token can be in one of them.
func TestMarks_EachNamedRecordIsReadOnce(t *testing.T) {
	var names, texts []string
	for range 2 {
		tok, err := token.Mint(token.Application, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		names, texts = append(names, tok.Digest().RecordName()), append(texts, tok.Reveal())
	}
	s := &corev1.Secret{Data: map[string][]byte{"other": []byte(texts[1])}}
	s.Annotations = map[string]string{v1alpha1.AnnotationRecord: names[0]}
	for i := range 31 {
		s.Data[fmt.Sprint("key-", i)] = []byte(texts[0])
	}
	got := applicationtoken.NamedRecords(s)
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("the records %v are read, want %v", got, names)
	}
}
