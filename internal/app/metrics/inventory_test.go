package metrics_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app/metrics"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/testing/apptest"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/verify"
)

var (
	api    client.Client // with every right, and no cache
	scheme = runtime.NewScheme()
)

func TestMain(m *testing.M) { controlplane.Main(m, connect) }

func connect(c *controlplane.Cluster) (err error) {
	ctrl.SetLogger(logr.Discard())
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	api, err = client.New(c.Admin, client.Options{Scheme: scheme})
	return err
}

// createToken creates a token of a client. If the client is empty, the token waits to clone
// another.
func createToken(t *testing.T, namespace, name, of string, status v1alpha1.ApplicationTokenStatus) {
	t.Helper()
	at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if of == "" {
		at.Spec.CloneFrom = &v1alpha1.Reference{Name: "another"}
	} else {
		at.Spec.ClientRef, at.Spec.Roles = &v1alpha1.Reference{Name: v1alpha1.ObjectName(of)}, []v1alpha1.RoleName{"primary"}
	}
	if err := api.Create(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now.
		if err := api.Delete(context.Background(), at); err != nil {
			t.Error(err)
		}
	})
	at.Status = status
	if err := api.Status().Update(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

// readyStatus returns a status with that condition. It expires so long after noon; 0: never.
func readyStatus(is metav1.ConditionStatus, reason string, expires time.Duration) v1alpha1.ApplicationTokenStatus {
	status := v1alpha1.ApplicationTokenStatus{
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionRestarted, Status: metav1.ConditionFalse, Reason: "RestartFailed", LastTransitionTime: metav1.NewTime(noon)},
			{Type: v1alpha1.ConditionReady, Status: is, Reason: reason, LastTransitionTime: metav1.NewTime(noon)},
		},
		Current: &v1alpha1.CurrentVersion{Record: "at-1", Hint: "…x7Qd", IssuedAt: metav1.NewTime(noon)},
	}
	if expires != 0 {
		status.Current.ExpiresAt = new(metav1.NewTime(noon.Add(expires)))
	}
	return status
}

// createClient creates a Client.
func createClient(t *testing.T, name string) {
	t.Helper()
	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := api.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now.
		if err := api.Delete(context.Background(), c); err != nil {
			t.Error(err)
		}
	})
}

func TestMetrics_ClientLabelsExist(t *testing.T) {
	namespaces := [2]string{apptest.NewNamespace(t, api), apptest.NewNamespace(t, api)}
	slices.Sort(namespaces[:])
	var index verify.Index
	leads := false
	inventory := metrics.Inventory{Reader: api, IsLeading: func() bool { return leads }, Index: &index, Now: func() time.Time { return noon }}
	assertLines(t, "an empty cluster", scrapeLines(t, inventory), []string{"apptoken_records 0"})

	for _, label := range []string{"a", "b", "c"} {
		index.Set(record.Record{Digest: sha256.Sum256([]byte(label))})
	}
	createToken(t, namespaces[0], "new", "acme", v1alpha1.ApplicationTokenStatus{})
	createToken(t, namespaces[0], "lasting", "acme", readyStatus(metav1.ConditionTrue, "Issued", 0))
	createToken(t, namespaces[0], "short", "acme", readyStatus(metav1.ConditionTrue, "Issued", 90*time.Minute))
	createToken(t, namespaces[1], "short", "acme", readyStatus(metav1.ConditionTrue, "Issued", time.Second))
	createToken(t, namespaces[1], "over", "acme", readyStatus(metav1.ConditionFalse, "Expired", -time.Hour))
	createToken(t, namespaces[1], "odd", "acme", readyStatus(metav1.ConditionUnknown, "Expired", 0))
	createToken(t, namespaces[1], "refused", "globex", readyStatus(metav1.ConditionFalse, "ClientMissing", 0))
	createToken(t, namespaces[1], "waiting", "", v1alpha1.ApplicationTokenStatus{})
	cloned := readyStatus(metav1.ConditionTrue, "Issued", 0)
	cloned.Client = "globex"
	createToken(t, namespaces[1], "cloned", "", cloned)

	for _, name := range []string{"acme", "globex"} {
		createClient(t, name)
	}
	createToken(t, namespaces[0], "invented", "a-name-that-a-tenant-made-up", v1alpha1.ApplicationTokenStatus{})
	createToken(t, namespaces[1], "invented", "another-name", readyStatus(metav1.ConditionFalse, "ClientMissing", 0))

	assertLines(t, "a replica that was not elected", scrapeLines(t, inventory), []string{"apptoken_records 3"})
	leads = true
	assertLines(t, "the replica that was elected", scrapeLines(t, inventory), []string{
		"apptoken_records 3",
		`apptoken_token_expiry_seconds{name="over",namespace="` + namespaces[1] + `"} -3600`,
		`apptoken_token_expiry_seconds{name="short",namespace="` + namespaces[0] + `"} 5400`,
		`apptoken_token_expiry_seconds{name="short",namespace="` + namespaces[1] + `"} 1`,
		`apptoken_tokens{client="",state="ClientMissing"} 1`,
		`apptoken_tokens{client="",state="New"} 2`,
		`apptoken_tokens{client="acme",state="Expired"} 2`,
		`apptoken_tokens{client="acme",state="New"} 1`,
		`apptoken_tokens{client="acme",state="Ready"} 3`,
		`apptoken_tokens{client="globex",state="ClientMissing"} 1`,
		`apptoken_tokens{client="globex",state="Ready"} 1`,
	})
}

func TestMetrics_ScrapeSurvivesUnreadableTokens(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	nowhere, err := client.New(&rest.Config{Host: closed.URL}, client.Options{Scheme: scheme, Mapper: api.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	got := scrapeLines(t, metrics.Inventory{Reader: nowhere, IsLeading: func() bool { return true }, Index: &verify.Index{}, Now: time.Now})
	assertLines(t, "an elected replica without a cluster", got, []string{"apptoken_records 0"})
}

func TestMetrics_ExpirySeriesBounded(t *testing.T) {
	at := func(namespace string, n int, left time.Duration) v1alpha1.ApplicationToken {
		return v1alpha1.ApplicationToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("t-%04d", n)},
			Status:     readyStatus(metav1.ConditionTrue, "Issued", left),
		}
	}
	var all []v1alpha1.ApplicationToken
	for n := range 1000 {
		all = append(all, at("hostile", n, time.Duration(1000-n)*time.Second))
	}
	all = append(all, at("quiet", 1, time.Hour), at("quiet", 2, 2*time.Hour), at("lasting", 1, 0))
	of := map[string]int{}
	for _, token := range metrics.SoonestToExpire(all) {
		of[token.Namespace]++
		if token.Namespace == "hostile" && token.Status.Current.ExpiresAt.Sub(noon) > metrics.MaxExpirySeries*time.Second {
			t.Errorf("%s is not among those that expire first", token.Name)
		}
	}
	if len(of) != 2 || of["hostile"] != metrics.MaxExpirySeries-2 || of["quiet"] != 2 {
		t.Errorf("the series are of %v", of)
	}
}
