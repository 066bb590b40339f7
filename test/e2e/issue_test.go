package e2e_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

func TestIssue_SecretHoldsTokenWithRecord(t *testing.T) { // [3.2] [row 4]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{permissions: [search.query], sourceRanges: [10.0.0.0/8], lifetime: 2160h, rotation: {every: 720h, trigger: "1"},
	  secret: {name: indexer-token, labels: {team: search}, annotations: {example.com/why: tests}}}`)
	at := w.waitReady("indexer")
	s := w.secret("indexer-token")
	if s.Type != corev1.SecretTypeOpaque || s.Labels[v1alpha1.LabelManaged] != "true" || s.Labels[v1alpha1.LabelToken] != "indexer" ||
		s.Labels["team"] != "search" || s.Annotations["example.com/why"] != "tests" {
		t.Errorf("the Secret is of type %s with labels %v, annotations %v", s.Type, s.Labels, s.Annotations)
	}
	owner := metav1.GetControllerOf(s)
	if owner == nil || owner.UID != at.UID || owner.Kind != "ApplicationToken" || len(s.OwnerReferences) != 1 {
		t.Errorf("the Secret is owned by %v, not by the token alone", s.OwnerReferences)
	}
	if len(s.Data) != 1 {
		t.Errorf("the Secret has %d keys, not just token", len(s.Data))
	}

	records := w.records("indexer")
	if len(records) != 1 {
		t.Fatalf("there are %d records", len(records))
	}
	r, d := records[0], w.digest(s)
	if string(r.Spec.Digest) != d.String() || r.Name != d.RecordName() || s.Annotations[v1alpha1.AnnotationRecord] != r.Name {
		t.Errorf("record %s of %s does not vouch for the token in the Secret, which names %s", r.Name, r.Spec.Digest, s.Annotations[v1alpha1.AnnotationRecord])
	}
	want := v1alpha1.TokenRecordSpec{
		Kind: v1alpha1.RecordKindApplication, Digest: v1alpha1.Digest(d.String()), Hint: r.Spec.Hint,
		Owner:  v1alpha1.RecordOwner{Kind: "ApplicationToken", Namespace: w.name, Name: "indexer", UID: at.UID},
		Client: w.name, State: v1alpha1.StateActive,
		Roles: []v1alpha1.RoleName{"primary"}, Permissions: []v1alpha1.Permission{"search.query"}, SourceRanges: []v1alpha1.SourceRange{"10.0.0.0/8"},
		IssuedAt: r.Spec.IssuedAt, ExpiresAt: &metav1.Time{Time: r.Spec.IssuedAt.Add(2160 * time.Hour)}, Version: 1, Trigger: "1",
	}
	assertEqualYAML(t, "the record", r.Spec, want)
	if !w.isAccepted(d) {
		t.Error("the token is not accepted")
	}
	if plain := string(s.Data["token"]); !strings.HasPrefix(plain, "ata_") || r.Spec.Hint != "…"+plain[43:47] {
		t.Errorf("the hint is %s", r.Spec.Hint)
	}

	next := at.Status.NextRotation
	if next == nil || next.Before(&metav1.Time{Time: r.Spec.IssuedAt.Add(720 * time.Hour)}) {
		t.Errorf("the next rotation is at %v", next)
	}
	assertEqualYAML(t, "the status", at.Status, v1alpha1.ApplicationTokenStatus{
		ObservedGeneration: at.Generation, Conditions: at.Status.Conditions, Client: w.name, SecretName: "indexer-token", NextRotation: next,
		Current: &v1alpha1.CurrentVersion{Record: r.Name, Hint: r.Spec.Hint, IssuedAt: r.Spec.IssuedAt, ExpiresAt: r.Spec.ExpiresAt},
	})
	if len(at.Status.Conditions) != 1 || !slices.Contains(at.Finalizers, v1alpha1.FinalizerRecords) {
		t.Errorf("conditions %v, finalizers %v", at.Status.Conditions, at.Finalizers)
	}
	w.waitEvent("indexer", "Normal Issued: ", "version 1", r.Spec.Hint)
}

func TestIssue_KubectlShowsState(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {every: 720h}}`)
	w.declareToken("outsider", `{clientRef: {name: absent}}`)
	at := w.waitReady("indexer")
	w.waitRefused("outsider", v1alpha1.ReasonNamespaceNotGranted)
	table := w.kubectl("get", "applicationtokens")
	for _, row := range []string{
		`NAME +READY +REASON +CLIENT +HINT +ROTATIONS +NEXT ROTATION +LAST USED +USED FROM +AGE`,
		`indexer +True +Issued +` + w.name + ` +` + at.Status.Current.Hint + ` +0 +` + at.Status.NextRotation.UTC().Format(time.RFC3339),
		`outsider +False +NamespaceNotGranted +absent +0`,
	} {
		if !regexp.MustCompile(row).MatchString(table) {
			t.Errorf("kubectl get applicationtokens does not show %q:\n%s", row, table)
		}
	}
	w.eventually("kubectl get clients counts its tokens", func(context.Context) bool {
		return regexp.MustCompile(w.name + ` +True +Active +1 +1 +0 +`).MatchString(w.kubectl("get", "atclient", w.name))
	})
	if records := w.kubectl("get", "tokenrecords", "-n", systemNamespace); !regexp.MustCompile(at.Status.Current.Record + ` +Application +` + w.name + ` +` + w.name + ` +indexer +1 +Active`).MatchString(records) {
		t.Errorf("kubectl get tokenrecords:\n%s", records)
	}
}

func TestKstatus_ShowsWhenTokenIsReady(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("good", `{}`)
	w.declareToken("bad", `{roles: [developer]}`)
	w.waitReady("good")
	w.waitRefused("bad", v1alpha1.ReasonOverCeiling)
	for name, want := range map[string]status.Status{"good": status.CurrentStatus, "bad": status.FailedStatus} {
		w.waitKstatus("applicationtoken", name, want)
	}
	w.waitKstatus("client", w.name, status.CurrentStatus)

	w.editToken("bad", `{roles: [writer]}`)
	w.waitReady("bad")
	w.waitKstatus("applicationtoken", "bad", status.CurrentStatus)
}

func TestKstatus_NewSpecIsInProgress(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	at := w.waitReady("indexer")
	at.Generation++
	if r := w.kstatusOf(at); r.Status != status.InProgressStatus {
		t.Errorf("kstatus of a spec that was not observed: %s %s", r.Status, r.Message)
	}
}

func TestSecret_HoldsRenderedTemplates(t *testing.T) { // [row 5]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{roles: [primary, writer], lifetime: 24h, secret: {data: {
	  token: "{{ .Token }}", header: "Bearer {{ .Token }}", npmrc: "_auth={{ .Token | b64enc }}",
	  about: "{{ .Client }} {{ .Namespace }}/{{ .Name }} {{ join \",\" .Roles }} {{ .Version }} {{ .Hint }} {{ .IssuedAt }} {{ .ExpiresAt }}"}}}`)
	at := w.waitReady("indexer")
	s := w.secret("indexer")
	plain, current := string(s.Data["token"]), at.Status.Current
	if _, err := token.Parse(plain); err != nil {
		t.Fatalf("key token: %v", err)
	}
	stamp := func(at metav1.Time) string { return at.UTC().Format(time.RFC3339) }
	for key, want := range map[string]string{
		"header": "Bearer " + plain,
		"npmrc":  "_auth=" + b64(plain),
		"about":  strings.Join([]string{w.name, w.name + "/indexer", "primary,writer", "1", current.Hint, stamp(current.IssuedAt), stamp(*current.ExpiresAt)}, " "),
	} {
		if got := string(s.Data[key]); got != want {
			t.Errorf("key %s is not what its template says (the values are secret): lengths %d and %d", key, len(got), len(want))
		}
	}
}
