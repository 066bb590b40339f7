package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/management"
)

// admissionPolicy is in every message of a rejection by config/policy.
const admissionPolicy = "ValidatingAdmissionPolicy 'apptoken-operator-"

// isPolicyRefusal reports whether a rule of config/policy rejected a write, as opposed to a rule
// that failed.
func isPolicyRefusal(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), admissionPolicy) && !strings.Contains(err.Error(), "resulted in error")
}

// hasPolicyRefusal reports whether a response of the API server is such a rejection.
func hasPolicyRefusal(answer *http.Response, body []byte) bool {
	return answer.StatusCode == http.StatusForbidden && bytes.Contains(body, []byte(admissionPolicy))
}

// noPolicyRefusals returns the writes of the operators that a policy rejected. There must be none.
func noPolicyRefusals(context.Context) ([]string, error) {
	var problems []string
	for _, r := range sentRequests.since(0, func(r request) bool { return r.isRejectedByPolicy }) {
		problems = append(problems, fmt.Sprintf("a policy refused: %s %s/%s %s/%s", r.verb, r.group, r.resource, r.namespace, r.name))
	}
	return problems, nil
}

// adminAsOperator returns a client with the operator's user name and every right, so that only
// policies limit it.
func adminAsOperator() (client.Client, error) {
	to := rest.CopyConfig(testCluster.Admin)
	to.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + systemNamespace + ":apptoken-operator", Groups: []string{"system:masters", "system:authenticated"},
	}
	return client.New(to, client.Options{Scheme: app.Scheme()})
}

// waitForPolicies waits until the API server enforces config/policy, which it does a moment after
// it has accepted it.
func waitForPolicies(ctx context.Context) error {
	c, err := adminAsOperator()
	if err != nil {
		return err
	}
	probe := metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "probe"}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "probe"}}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
	}
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: probe},
		&appsv1.Deployment{ObjectMeta: probe, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
		&v1alpha1.ApplicationToken{ObjectMeta: probe, Spec: v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: "probe"}}},
		&v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "probe"}},
	} {
		var last error
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			last = c.Create(ctx, o.DeepCopyObject().(client.Object), client.DryRunAll)
			return isPolicyRefusal(last), nil
		})
		if err != nil {
			return fmt.Errorf("no policy refuses to create a %T: %w", o, errors.Join(err, last))
		}
	}
	return nil
}

// stolenClient returns a client with the credential of the operator's service account.
func (w *tenant) stolenClient() client.Client {
	w.Helper()
	var of authenticationv1.TokenRequest
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "apptoken-operator"}}
	w.must(admin.SubResource("token").Create(w.Context(), account, &of))
	to := rest.AnonymousClientConfig(testCluster.Admin)
	to.BearerToken = of.Status.Token
	plaintexts.addText(of.Status.Token)
	c, err := client.New(to, client.Options{Scheme: app.Scheme()})
	w.must(err)
	return c
}

// takeover is a write that would give a thief of the operator's credential more than the operator
// needs.
type takeover struct {
	sentence string
	write    func(ctx context.Context, c client.Client) error
}

// assertRefused asserts that each takeover is rejected. It tries with the operator's own
// credential, and with every right of RBAC: then only the policy is left.
func (w *tenant) assertRefused(all []takeover) {
	w.Helper()
	own := w.stolenClient()
	every, err := adminAsOperator()
	w.must(err)
	for _, t := range all {
		w.Run(t.sentence, func(test *testing.T) {
			if err := t.write(test.Context(), own); !apierrors.IsForbidden(err) {
				test.Errorf("with the operator's credential: want a refusal, got %v", err)
			}
			if err := t.write(test.Context(), every); !isPolicyRefusal(err) {
				test.Errorf("with every right: want a refusal by a policy, got %v", err)
			}
		})
	}
}

// createWrite returns a write that creates an object.
func createWrite(o client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Create(ctx, o.DeepCopyObject().(client.Object))
	}
}

// deleteWrite returns a write that deletes an object.
func deleteWrite(o client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Delete(ctx, o.DeepCopyObject().(client.Object))
	}
}

// updateWrite returns a write that reads an object, changes it and updates it.
func updateWrite[T client.Object](o T, change func(T)) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		// Another test may change or delete the object meanwhile.
		again := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }
		return retry.OnError(retry.DefaultBackoff, again, func() error {
			now := o.DeepCopyObject().(T)
			if err := admin.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
				return err
			}
			change(now)
			return c.Update(ctx, now)
		})
	}
}

// patchWrite returns a write that merges YAML into a field of an object.
func patchWrite(t *testing.T, o client.Object, field, text string) func(context.Context, client.Client) error {
	t.Helper()
	patch := mergePatch(t, field, text)
	return func(ctx context.Context, c client.Client) error {
		return c.Patch(ctx, o.DeepCopyObject().(client.Object), patch)
	}
}

func TestPolicy_AllowsWholeLifeOfToken(t *testing.T) {
	w := newSharedTenant(t)
	k, scope := w.managementService(), management.Scope{Client: w.name}

	// A declared token: restarts, each way of rotation, a new name of the Secret, an offered
	// Secret, the end.
	var targets []string
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		w.createWorkload(kind, "reader")
		targets = append(targets, `{kind: `+kind+`, name: reader}`)
	}
	w.declareToken("indexer", `{rotation: {trigger: a, retire: {minOverlap: 0s}}, restart: [`+strings.Join(targets, ",")+`]}`)
	restarted := func(rotations int64) func(*v1alpha1.ApplicationToken) bool {
		return func(at *v1alpha1.ApplicationToken) bool {
			return isReady(at) && at.Status.Rotations == rotations && at.Status.Restarted == at.Status.Current.Record
		}
	}
	w.waitUntil("indexer", "has restarted its consumers", restarted(0))
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitUntil("indexer", "has restarted them for version 2", restarted(1))
	_, err := k.Rotate(t.Context(), rootCaller, scope, w.name+":indexer", "once")
	w.must(err)
	w.waitUntil("indexer", "has rotated on a request", restarted(2))
	w.declareToken("held", `{}`)
	_, err = k.RotateOwn(t.Context(), rootCaller, w.currentDigest("held"), "")
	w.must(err)
	w.waitVersion("held", 2)
	w.foreignSecret("offered", func(s *corev1.Secret) {
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "indexer", "kubernetes.io/description": "stays"}
	})
	w.editToken("indexer", `{secret: {name: offered, labels: {team: search}}}`)
	w.waitUntil("indexer", "has taken the Secret over", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && at.Status.SecretName == "offered" && w.hasNoSecret("indexer")
	})
	w.must(k.Revoke(t.Context(), scope, w.name+":indexer"))
	w.eventually("its Secret is gone", func(context.Context) bool { return w.hasNoSecret("offered") })
	w.must(admin.Delete(t.Context(), w.manifest("indexer", `{}`)))
	w.waitGone("indexer")

	// A label that the Client no longer allows is removed from a Secret that has lost its marks.
	w.editClient(`{tokens: {allowedSecretMetadata: [argoproj.io/x]}}`)
	w.declareToken("labelled", `{secret: {labels: {argoproj.io/x: a}}}`)
	w.waitReady("labelled")
	w.editToken("labelled", `{state: Suspended}`) // otherwise the Secret is rendered anew
	w.waitRefused("labelled", v1alpha1.ReasonSuspended)
	unmarked := w.secret("labelled")
	delete(unmarked.Labels, v1alpha1.LabelToken)
	unmarked.OwnerReferences = nil
	w.must(admin.Update(t.Context(), unmarked))
	w.editClient(`{tokens: {allowedSecretMetadata: null}}`)
	w.eventually("the label is gone", func(context.Context) bool {
		now := w.secret("labelled").Labels
		return now["argoproj.io/x"] == "" && now[v1alpha1.LabelToken] == "labelled"
	})

	// A token delivered in responses: created, changed, rotated, cloned, revoked.
	_, err = k.Create(t.Context(), rootCaller, scope, management.TokenSpec{Name: "ci", Roles: []string{"primary"}, Lifetime: time.Hour})
	w.must(err)
	_, err = k.Change(t.Context(), rootCaller, scope, "ci", management.Change{Roles: &[]string{"writer"}})
	w.must(err)
	_, err = k.Rotate(t.Context(), rootCaller, scope, "ci", "")
	w.must(err)
	_, err = k.Clone(t.Context(), rootCaller, scope, "ci", "ci-clone", "once")
	w.must(err)
	w.must(k.Revoke(t.Context(), scope, "ci"))
	w.must(k.Revoke(t.Context(), scope, "ci-clone"))

	// A user: a login, a token of the user's own, the deletion of the user.
	p := w.newUser("alice")
	p.logIn()
	_, err = k.Create(t.Context(), rootCaller, management.Scope{User: p.user}, management.TokenSpec{Name: "own"})
	w.must(err)
	user := &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: p.user}}
	w.must(admin.Delete(t.Context(), user))
	w.eventually("nothing is left of the user", func(ctx context.Context) bool {
		return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(user), user)) && len(p.loginRecords(ctx)) == 0
	})

	refused, err := noPolicyRefusals(t.Context())
	w.must(err)
	if len(refused) > 0 {
		t.Error(strings.Join(refused, "\n"))
	}
}
