package certificates_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/internal/app/certificates"
	"github.com/apptoken/operator/internal/testing/apptest"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// certificateFixture reconciles the Secret of the certificate in a namespace of its own, as
// replicas do.
type certificateFixture struct {
	*testing.T
	key types.NamespacedName
	now time.Time
}

func newCertificateFixture(t *testing.T) *certificateFixture {
	t.Helper()
	return &certificateFixture{T: t, key: types.NamespacedName{Namespace: apptest.NewNamespace(t, api), Name: "tls"}, now: noon}
}

// replica returns the reconciler of one replica.
func (k *certificateFixture) replica(direct client.Client) reconcile.Reconciler {
	return certificates.NewSecretReconciler(direct, certificates.SecretOptions{
		Key: k.key, CertFile: "/tls/tls.crt", KeyFile: "/tls/tls.key", DNSNames: []string{"apptoken-operator.test.svc"},
		Now: func() time.Time { return k.now },
	})
}

// reconcile runs the reconcilers of replicas at once. Each is called again after an error, as a
// queue would do.
func (k *certificateFixture) reconcile(replicas ...reconcile.Reconciler) {
	k.Helper()
	var all sync.WaitGroup
	for _, r := range replicas {
		all.Go(func() {
			apptest.Eventually(k.T, "the Secret is reconciled", func(ctx context.Context) bool {
				_, err := r.Reconcile(ctx, reconcile.Request{})
				return err == nil
			})
		})
	}
	all.Wait()
}

// secret reads the Secret.
func (k *certificateFixture) secret() *corev1.Secret {
	k.Helper()
	var s corev1.Secret
	if err := api.Get(k.Context(), k.key, &s); err != nil {
		k.Fatal(err)
	}
	return &s
}

func TestCertificateSecret_ReplicasMakeOne(t *testing.T) {
	k := newCertificateFixture(t)
	var replicas []reconcile.Reconciler
	for range 8 {
		replicas = append(replicas, k.replica(api))
	}
	k.reconcile(replicas...)
	made := k.secret()
	if n := len(made.Data); n != 4 || made.Type != corev1.SecretTypeOpaque {
		t.Errorf("the Secret is %s with %d files, want Opaque with 4", made.Type, n)
	}
	k.reconcile(replicas...)
	if again := k.secret(); again.UID != made.UID || again.ResourceVersion != made.ResourceVersion {
		t.Error("a Secret that is complete was written")
	}
}

func TestCertificateSecret_IsRenewed(t *testing.T) {
	for sentence, c := range map[string]struct {
		change       func(k *certificateFixture, s *corev1.Secret) error
		sameCA, same bool
	}{
		"a deleted one is made as it was": {func(k *certificateFixture, s *corev1.Secret) error { return api.Delete(k.Context(), s) }, true, true},
		"an emptied one gets a new CA": {func(k *certificateFixture, s *corev1.Secret) error {
			s.Data = nil
			return api.Update(k.Context(), s)
		}, false, false},
		"a broken certificate is made by the same CA": {func(k *certificateFixture, s *corev1.Secret) error {
			s.Data["tls.crt"] = []byte("broken")
			return api.Update(k.Context(), s)
		}, true, false},
		"a certificate near its end is made by the same CA": {func(k *certificateFixture, _ *corev1.Secret) error {
			k.now = k.now.AddDate(0, 10, 0)
			return nil
		}, true, false},
		"a CA near its end is made anew": {func(k *certificateFixture, _ *corev1.Secret) error {
			k.now = k.now.AddDate(9, 10, 0)
			return nil
		}, false, false},
		"what is foreign in it stays": {func(k *certificateFixture, s *corev1.Secret) error {
			s.Data["note"], s.Data["tls.key"] = []byte("of an administrator"), nil
			return api.Update(k.Context(), s)
		}, true, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			k := newCertificateFixture(t)
			r := k.replica(api)
			k.reconcile(r)
			before := k.secret()
			if err := c.change(k, before.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			k.reconcile(r)
			after := k.secret()
			if got := bytes.Equal(after.Data["ca.crt"], before.Data["ca.crt"]) && bytes.Equal(after.Data["ca.key"], before.Data["ca.key"]); got != c.sameCA {
				t.Errorf("the CA is the same: %t, want %t", got, c.sameCA)
			}
			if got := bytes.Equal(after.Data["tls.crt"], before.Data["tls.crt"]); got != c.same {
				t.Errorf("the certificate is the same: %t, want %t", got, c.same)
			}
			if strings.HasPrefix(sentence, "what is foreign") && string(after.Data["note"]) != "of an administrator" {
				t.Error("a foreign file is gone")
			}
		})
	}
}

// config/policy denies the operator to create the Secret with any key but those of the four files.
func TestCertificateSecret_IsMadeAgainWithoutForeignKeys(t *testing.T) {
	k := newCertificateFixture(t)
	r := k.replica(api)
	k.reconcile(r)
	made := k.secret()
	made.Data["note"] = []byte("of an administrator")
	if err := api.Update(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		k.reconcile(r)
		if err := api.Delete(t.Context(), k.secret()); err != nil {
			t.Fatal(err)
		}
	}
	k.reconcile(r)
	again := k.secret()
	if len(again.Data) != 4 || !bytes.Equal(again.Data["ca.crt"], made.Data["ca.crt"]) || !bytes.Equal(again.Data["tls.crt"], made.Data["tls.crt"]) {
		t.Errorf("the Secret has %d files, the CA is the same: %t", len(again.Data), bytes.Equal(again.Data["ca.crt"], made.Data["ca.crt"]))
	}
}

// An operator without the right to create the Secret logs the command that creates it.
func TestCertificateSecret_MissingRightNamesCommand(t *testing.T) {
	k := newCertificateFixture(t)
	to := rest.CopyConfig(testCluster.Admin)
	to.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + k.key.Namespace + ":lists-only"}
	limited, err := client.New(to, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: k.key.Namespace, Name: "lists-only"}
	for _, o := range []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: meta.Namespace, Name: meta.Name}},
		},
	} {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	want := `create it, empty, with "kubectl create secret generic tls -n ` + k.key.Namespace + `"`
	// The API server has to read the role first.
	apptest.Eventually(t, "the error says "+want, func(ctx context.Context) bool {
		_, err := k.replica(limited).Reconcile(ctx, reconcile.Request{})
		return err != nil && strings.Contains(err.Error(), want)
	})
}
