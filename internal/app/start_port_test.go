package app_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// A token that is issued by a replica that is about to end is in no backup, and no workload waits
// for it.
func TestStart_TakenPortIssuesNothing(t *testing.T) {
	const namespace = "taken"
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "taken"}, Spec: v1alpha1.ClientSpec{
			Roles:  []v1alpha1.Role{{Name: "reader", Permissions: []v1alpha1.Permission{"search.query"}}},
			Grants: []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{namespace}}, Roles: []v1alpha1.RoleName{"reader"}}},
		}},
		&v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "indexer"}, Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: "taken"}, Roles: []v1alpha1.RoleName{"reader"},
		}},
	} {
		if err := api.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := api.Delete(context.WithoutCancel(t.Context()), obj); err != nil {
				t.Error(err)
			}
		})
	}
	taken := listenLoopback(t)
	defer taken.Close()
	for _, flag := range []string{"--bind-address", "--webhook-bind-address", "--grpc-bind-address", "--metrics-bind-address", "--health-probe-bind-address"} {
		t.Run(flag, func(t *testing.T) {
			arg := flag + "=" + taken.Addr().String()
			args := append(append([]string{"--namespace=default", "--plain-http"}, noListenerFlags...), arg)
			startProcess(t, environment{"KUBECONFIG": writeTempFile(t, adminKubeconfig(t))}, args...).assertExit(1, "apptoken-operator: "+arg+": ", "address already in use")
			var records v1alpha1.TokenRecordList
			if err := api.List(t.Context(), &records, client.InNamespace("default")); err != nil {
				t.Fatal(err)
			}
			var secrets corev1.SecretList
			if err := api.List(t.Context(), &secrets, client.InNamespace(namespace)); err != nil {
				t.Fatal(err)
			}
			var at v1alpha1.ApplicationToken
			if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "indexer"}, &at); err != nil {
				t.Fatal(err)
			}
			if len(records.Items) > 0 || len(secrets.Items) > 0 || at.Status.Current != nil || len(at.Finalizers) > 0 {
				t.Errorf("%d records, %d Secrets, the status %+v and the finalizers %v were written", len(records.Items), len(secrets.Items), at.Status, at.Finalizers)
			}
		})
	}
}
