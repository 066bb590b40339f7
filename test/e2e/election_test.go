package e2e_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// freeAddress returns a loopback address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestElection_SecondReplicaTakesOverAtOnce(t *testing.T) { // [3.4]
	replica := func() (*operator, string) {
		o := defaultOptions()
		o.LeaderElect, o.HealthAddress = true, freeAddress(t)
		return startOperator(t, o), o.HealthAddress
	}
	first, _ := replica()
	w := newTenant(t, first)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	d := w.currentDigest("indexer")

	second, health := replica()
	for _, path := range []string{"/readyz", "/healthz"} {
		w.eventually("the second replica answers on "+path, func(ctx context.Context) bool { return getStatus(ctx, "http://"+health+path) == http.StatusOK })
	}
	w.op = second
	w.waitAccepted("the token, by the replica that does not reconcile", d, true)
	if isLeader(second) || !isLeader(first) {
		t.Fatalf("elected: the first %t, the second %t", isLeader(first), isLeader(second))
	}
	if found := second.metricLines("apptoken_tokens{"); len(found) > 0 {
		t.Errorf("a replica that does not reconcile counts tokens: %v", found)
	}
	if found := first.metricLines("apptoken_tokens{"); len(found) == 0 {
		t.Error("beside one that does not reconcile, the replica that does counts no tokens")
	}

	w.must(first.stop())
	ended := time.Now()
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.eventually("the second is elected", func(context.Context) bool { return isLeader(second) })
	took := time.Since(ended)
	w.waitVersion("indexer", 2)
	var lease coordinationv1.Lease
	w.must(admin.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "apptoken-operator"}, &lease))
	if held := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second; took >= held {
		t.Errorf("it took %s to take over: the first did not release the lease, which runs out after %s", took, held)
	}
	t.Logf("taken over %s after the first replica's end", took.Round(time.Millisecond))
	if n := len(w.records("indexer")); n != 2 {
		t.Errorf("one trigger made %d records", n)
	}
}

func isLeader(op *operator) bool { return op.IsLeading() }

func getStatus(ctx context.Context, url string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestMetrics_CountEvents(t *testing.T) {
	o := defaultOptions()
	o.MetricsAddress = ":0"
	op := startOperator(t, o)
	w := newTenant(t, op)
	w.declareToken("indexer", `{lifetime: 1h, rotation: {trigger: a, retire: {minOverlap: 0s, quietPeriod: 0s, maxOverlap: 1h}}}`)
	w.waitReady("indexer")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2)
	w.recordUse(w.currentDigest("indexer"), "192.0.2.1")
	w.waitUntil("indexer", "has retired its predecessor", func(at *v1alpha1.ApplicationToken) bool { return len(at.Status.Predecessors) == 0 })
	w.declareToken("over", `{roles: [developer]}`)
	w.waitRefused("over", v1alpha1.ReasonOverCeiling)
	for _, want := range []string{
		`apptoken_tokens{client="` + w.name + `",state="Ready"} 1`,
		`apptoken_tokens{client="` + w.name + `",state="OverCeiling"} 1`,
		`apptoken_rotations_total{reason="Triggered"} 1`,
		`apptoken_retirements_total{reason="Unused"} 1`,
		`apptoken_planner_decisions_total{action="Issue",reason="Issued"} 1`,
		`apptoken_planner_decisions_total{action="Issue",reason="Triggered"} 1`,
		`apptoken_planner_decisions_total{action="Supersede",reason="Superseded"} 1`,
		`apptoken_apply_to_ready_seconds_count 1`,
	} {
		name, _, _ := strings.Cut(want, " ")
		w.eventually("the metrics say "+want, func(context.Context) bool {
			found := op.metricLines(name)
			return len(found) == 1 && found[0] == want
		})
	}
	if left := w.secondsLeft(); left <= 3500 || left > 3600 {
		t.Errorf("a token of an hour has %f seconds left", left)
	}
	if got := len(op.metricLines("apptoken_records ")); got != 1 {
		t.Errorf("there are %d samples of the number of records", got)
	}
	if status := w.scrape("prometheus"); status != http.StatusForbidden {
		t.Errorf("/metrics answers %d to an account that may not", status)
	}
	w.must(admin.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "apptoken-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.name, Name: "monitoring"}},
	}))
	if status := w.scrape("monitoring"); status != http.StatusOK {
		t.Errorf("/metrics answers %d to an account that may", status)
	}
	w.must(op.stop())
}

// scrape creates a service account, and returns the status of /metrics with its credential.
func (w *tenant) scrape(name string) int {
	w.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name}}
	w.must(admin.Create(w.Context(), account))
	var of authenticationv1.TokenRequest
	w.must(admin.SubResource("token").Create(w.Context(), account, &of))
	plaintexts.addText(of.Status.Token)
	_, port, err := net.SplitHostPort(w.op.MetricsAddr.String())
	w.must(err)
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "https://127.0.0.1:"+port+"/metrics", nil)
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+of.Status.Token)
	// An operator without a certificate creates one that no client can verify.
	unchecked := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer unchecked.CloseIdleConnections()
	answer, err := unchecked.Do(req)
	w.must(err)
	w.must(answer.Body.Close())
	return answer.StatusCode
}
