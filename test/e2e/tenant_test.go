package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// maxWait is how long a test waits for a condition. It is generous: machines are slow and shared.
const maxWait = 90 * time.Second

// tenant is a namespace, and a Client of the same name that grants it the roles primary and writer.
type tenant struct {
	*testing.T
	name string
	op   *operator
}

var tenantCount atomic.Int64

// newSharedTenant returns a tenant on the shared operator. Its test runs in parallel with others.
func newSharedTenant(t *testing.T) *tenant {
	t.Helper()
	t.Parallel()
	op, err := commonOperator.operator()
	if err != nil {
		t.Fatal(err)
	}
	return newTenant(t, op)
}

// newTenant creates a tenant for an operator of the test's own.
func newTenant(t *testing.T, op *operator) *tenant {
	t.Helper()
	w := &tenant{T: t, name: fmt.Sprintf("tenant-%d", tenantCount.Add(1)), op: op}
	w.must(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name, Labels: map[string]string{"team": w.name}}}))
	w.must(admin.Create(t.Context(), &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{
				{Name: "primary", Permissions: []v1alpha1.Permission{"search.*"}},
				{Name: "writer", Permissions: []v1alpha1.Permission{"index.write"}},
				{Name: "developer", Permissions: []v1alpha1.Permission{"sec.*"}},
			},
			Grants: []v1alpha1.Grant{{
				Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.name}}, Roles: []v1alpha1.RoleName{"primary", "writer"},
			}},
		},
	}))
	return w
}

func (w *tenant) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// manifest returns an ApplicationToken of the tenant's client with the role primary, changed by the
// YAML in spec. A field that is null there is omitted.
func (w *tenant) manifest(name, spec string) client.Object {
	w.Helper()
	o := map[string]any{
		"apiVersion": "apptoken.dev/v1alpha1", "kind": "ApplicationToken",
		"metadata": map[string]any{"namespace": w.name, "name": name},
	}
	fields := map[string]any{"clientRef": map[string]any{"name": w.name}, "roles": []any{"primary"}}
	var twist map[string]any
	w.must(yaml.Unmarshal([]byte(spec), &twist))
	for key, value := range twist {
		if fields[key] = value; value == nil {
			delete(fields, key)
		}
	}
	o["spec"] = fields
	return &unstructuredObject{Object: o}
}

// declareToken creates a token.
func (w *tenant) declareToken(name, spec string) {
	w.Helper()
	w.must(admin.Create(w.Context(), w.manifest(name, spec)))
}

// editToken merges YAML into a token's spec, as kubectl edit does. It does not retry: a merge has
// no conflicts.
func (w *tenant) editToken(name, spec string) {
	w.Helper()
	w.must(w.tryEditToken(name, spec))
}

func (w *tenant) tryEditToken(name, spec string) error {
	w.Helper()
	at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name}}
	return admin.Patch(w.Context(), at, mergePatch(w.T, "spec", spec))
}

// editClient merges YAML into the client's spec.
func (w *tenant) editClient(spec string) {
	w.Helper()
	w.must(admin.Patch(w.Context(), &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.name}}, mergePatch(w.T, "spec", spec)))
}

func mergePatch(t *testing.T, field, text string) client.Patch {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{%q:%s}`, field, body))
}

// waitUntil waits until a token is as the sentence states.
func (w *tenant) waitUntil(name, sentence string, holds func(*v1alpha1.ApplicationToken) bool) *v1alpha1.ApplicationToken {
	w.Helper()
	var at *v1alpha1.ApplicationToken
	w.eventually(fmt.Sprintf("%s %s", name, sentence), func(ctx context.Context) bool {
		found := &v1alpha1.ApplicationToken{}
		if err := admin.Get(ctx, client.ObjectKey{Namespace: w.name, Name: name}, found); err != nil {
			return false
		}
		at = found
		return holds(at)
	})
	return at
}

// eventually waits until a condition holds; otherwise it fails with a picture of the namespace.
func (w *tenant) eventually(sentence string, holds func(context.Context) bool) {
	w.Helper()
	w.eventuallyWithin(maxWait, sentence, holds)
}

// eventuallyWithin waits up to limit until a condition holds; otherwise it fails with a picture of
// the namespace.
func (w *tenant) eventuallyWithin(limit time.Duration, sentence string, holds func(context.Context) bool) {
	w.Helper()
	if err := w.poll(limit, holds); err != nil {
		w.Fatalf("not within %s: %s\n%s", limit, sentence, w.describe())
	}
}

// poll waits up to limit until a condition holds.
func (w *tenant) poll(limit time.Duration, holds func(context.Context) bool) error {
	return wait.PollUntilContextTimeout(w.Context(), 50*time.Millisecond, limit, true, func(ctx context.Context) (bool, error) {
		return holds(ctx), nil
	})
}

// waitReady waits until the operator has served the newest spec of a token.
func (w *tenant) waitReady(name string) *v1alpha1.ApplicationToken {
	w.Helper()
	return w.waitUntil(name, "is Ready", isReady)
}

func isReady(at *v1alpha1.ApplicationToken) bool {
	c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == at.Generation
}

// waitRefused waits until the operator has rejected the newest spec of a token for a reason, and
// reports it as stalled.
func (w *tenant) waitRefused(name, reason string) *v1alpha1.ApplicationToken {
	w.Helper()
	return w.waitUntil(name, "is refused: "+reason, func(at *v1alpha1.ApplicationToken) bool {
		c, s := conditionOf(at, v1alpha1.ConditionReady), conditionOf(at, v1alpha1.ConditionStalled)
		return c.Status == metav1.ConditionFalse && c.Reason == reason && c.ObservedGeneration == at.Generation &&
			s.Status == metav1.ConditionTrue && s.Reason == reason && s.Message == c.Message
	})
}

// conditionOf returns a condition of a token; the zero value if the token has none of the type.
func conditionOf(at *v1alpha1.ApplicationToken, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(at.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// waitVersion waits until a token is Ready with its nth version.
func (w *tenant) waitVersion(name string, n int64) *v1alpha1.ApplicationToken {
	w.Helper()
	return w.waitUntil(name, fmt.Sprintf("is Ready with version %d", n), func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && at.Status.Rotations == n-1
	})
}

// get reads an object of the tenant; false if there is none.
func (w *tenant) get(name string, into client.Object) bool {
	w.Helper()
	err := admin.Get(w.Context(), client.ObjectKey{Namespace: w.name, Name: name}, into)
	if !apierrors.IsNotFound(err) {
		w.must(err)
	}
	return err == nil
}

func (w *tenant) secret(name string) *corev1.Secret {
	w.Helper()
	var s corev1.Secret
	if !w.get(name, &s) {
		w.Fatalf("there is no Secret %s\n%s", name, w.describe())
	}
	return &s
}

// digest returns the digest of the token in a Secret.
func (w *tenant) digest(secret *corev1.Secret) token.Digest {
	w.Helper()
	_, d, err := token.DigestOf(string(secret.Data["token"]))
	if err != nil {
		w.Fatalf("Secret %s holds no token: %v", secret.Name, err)
	}
	return d
}

// currentDigest waits until a token is Ready, and returns the digest of the token in the Secret of
// the same name.
func (w *tenant) currentDigest(name string) token.Digest {
	w.Helper()
	w.waitReady(name)
	return w.digest(w.secret(name))
}

// records returns the records of a token, the newest first.
func (w *tenant) records(name string) []v1alpha1.TokenRecord {
	w.Helper()
	var list v1alpha1.TokenRecordList
	w.must(admin.List(w.Context(), &list, client.InNamespace(systemNamespace), client.MatchingFields{
		"spec.owner.namespace": w.name, "spec.owner.name": name,
	}))
	slices.SortFunc(list.Items, func(a, b v1alpha1.TokenRecord) int { return int(b.Spec.Version - a.Spec.Version) })
	return list.Items
}

// isAccepted reports whether a credential is valid at this instant, by the operator's index.
func (w *tenant) isAccepted(d token.Digest) bool {
	_, verdict := w.verify(d)
	// SourceRefused is a valid credential at another address.
	return verdict == verify.Valid || verdict == verify.SourceRefused
}

// verify asks the operator's own index, for a client at 192.0.2.1.
func (w *tenant) verify(d token.Digest) (verify.Identity, verify.Verdict) {
	return w.op.Index.VerifyDigest(time.Now(), token.Application, d, verify.Facts{Source: netip.MustParseAddr("192.0.2.1")})
}

// waitAccepted waits until a credential is accepted, or is not.
func (w *tenant) waitAccepted(sentence string, d token.Digest, good bool) {
	w.Helper()
	w.eventually(fmt.Sprintf("%s: accepted is %t", sentence, good), func(context.Context) bool { return w.isAccepted(d) == good })
}

// events returns the events about an object, as "Type Reason: note".
func (w *tenant) events(name string) []string {
	w.Helper()
	var list eventsv1.EventList
	w.must(admin.List(w.Context(), &list, client.InNamespace(w.name)))
	var said []string
	for _, e := range list.Items {
		if e.Regarding.Name == name {
			said = append(said, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Note))
		}
	}
	return said
}

// waitEvent waits for an event about an object that contains all of the texts.
func (w *tenant) waitEvent(name string, texts ...string) {
	w.Helper()
	w.eventually(fmt.Sprintf("an event of %s says %q", name, texts), func(context.Context) bool {
		return slices.ContainsFunc(w.events(name), func(e string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(e, text) })
		})
	})
}

// kubectl runs kubectl in the tenant's namespace.
func (w *tenant) kubectl(args ...string) string {
	w.Helper()
	said, err := kubectl(w.Context(), append([]string{"-n", w.name}, args...)...)
	if err != nil {
		w.Fatalf("kubectl %v: %v\n%s", args, err, said)
	}
	return said
}
