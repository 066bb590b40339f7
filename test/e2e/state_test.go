package e2e_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/verify"
)

func TestState_SuspendedTokenIsRejectedUntilActive(t *testing.T) { // [3.7] [row 2]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	first := w.currentDigest("indexer")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2)
	second := w.currentDigest("indexer")

	w.editToken("indexer", `{state: Suspended}`)
	at := w.waitRefused("indexer", v1alpha1.ReasonSuspended)
	w.waitAccepted("the suspended token", second, false)
	w.waitAccepted("its predecessor", first, false)
	if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "set spec.state to Active") {
		t.Errorf("the message: %s", said)
	}
	w.editToken("indexer", `{rotation: {trigger: c}}`) // nothing new while suspended
	w.waitRefused("indexer", v1alpha1.ReasonSuspended)
	if len(w.records("indexer")) != 2 || w.digest(w.secret("indexer")) != second {
		t.Error("a suspended token was rotated")
	}

	w.editToken("indexer", `{state: Active, rotation: {trigger: b}}`)
	w.waitReady("indexer")
	w.waitAccepted("the token that is active again", second, true)
	w.waitAccepted("its predecessor", first, true)
}

func TestState_RevokedTokenStaysRevoked(t *testing.T) { // [3.3] [3.7] [row 2]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	first := w.currentDigest("indexer")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2)
	second := w.currentDigest("indexer")
	w.editToken("indexer", `{state: Revoked}`)
	w.waitRefused("indexer", v1alpha1.ReasonRevoked)
	w.waitAccepted("the revoked token", second, false)
	w.waitAccepted("its predecessor", first, false)
	w.assertNothingMinted("indexer")
	if err := w.tryEditToken("indexer", `{state: Active}`); err == nil || !strings.Contains(err.Error(), "delete it and declare a new one") {
		t.Errorf("making it active again: %v", err)
	}
	w.editToken("indexer", `{rotation: {trigger: c}}`)
	w.waitRefused("indexer", v1alpha1.ReasonRevoked)
	w.assertNothingMinted("indexer")
}

func TestState_SuspendedClientStopsTokensAndLosesNone(t *testing.T) { // [3.7] [row 2]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	d := w.currentDigest("indexer")
	w.editClient(`{state: Suspended}`)
	w.waitUntil("indexer", "reports that its client is suspended", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonClientSuspended
	})
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitRefused("indexer", v1alpha1.ReasonClientSuspended)
	w.declareToken("late", `{}`)
	w.waitRefused("late", v1alpha1.ReasonClientSuspended)
	w.assertNothingMinted("late")
	w.editClient(`{state: Active}`)
	w.waitReady("late")
	w.waitVersion("indexer", 2)
	if !w.isAccepted(d) {
		t.Error("the version before has lost its overlap")
	}
}

func TestState_DeletedClientStopsTokensUntilRecreated(t *testing.T) { // [3.7]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	var c v1alpha1.Client
	w.must(admin.Get(t.Context(), client.ObjectKey{Name: w.name}, &c))
	w.must(admin.Delete(t.Context(), &c))
	w.waitUntil("indexer", "reports that it may not use the client", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonNamespaceNotGranted
	})
	c.ResourceVersion, c.UID = "", ""
	w.must(admin.Create(t.Context(), &c))
	if w.currentDigest("indexer") != d {
		t.Error("the token is another")
	}
}

func TestCeiling_LoweringRestrictsIssuedToken(t *testing.T) { // [3.6]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{roles: [primary, writer], permissions: [index.write]}`)
	d := w.currentDigest("indexer")
	holds := func(may bool, roles ...string) {
		t.Helper()
		w.eventually("the index knows of the cut", func(context.Context) bool {
			who, verdict := w.verify(d)
			return verdict == verify.Valid && slices.Equal(who.Roles, roles) && slices.Contains(who.Permissions, "index.write") == may
		})
	}
	holds(true, "primary", "writer")
	w.editClient(`{grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary]}]}`)
	w.waitUntil("indexer", "is over the ceiling", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonOverCeiling
	})
	holds(false, "primary")
	w.eventually("the client counts it", func(ctx context.Context) bool {
		var c v1alpha1.Client
		return admin.Get(ctx, client.ObjectKey{Name: w.name}, &c) == nil && slices.Equal(c.Status.OverCeiling, []string{w.name + "/indexer"})
	})

	w.editClient(`{grants: []}`)
	w.waitUntil("indexer", "has lost its namespace's grant", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonNamespaceNotGranted
	})
	w.waitAccepted("the token of a namespace without a grant", d, false)

	w.editClient(`{grants: [{namespaces: {selector: {matchLabels: {team: ` + w.name + `}}}, roles: [primary, writer]}]}`)
	w.waitReady("indexer")
	holds(true, "primary", "writer")
	w.waitAccepted("the token of a namespace with a grant again", d, true)

	// A namespace that loses its label loses the grant.
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	w.must(admin.Patch(t.Context(), ns, mergePatch(t, "metadata", `{labels: {team: other}}`)))
	w.waitAccepted("the token of a namespace that is not selected any more", d, false)
}

func TestExpiry_IsAnnouncedAndFinal(t *testing.T) { // [3.3] [row 25]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{lifetime: 9s}`)
	d := w.currentDigest("indexer")
	if left := w.secondsLeft(); left <= 0 || left > 9 {
		t.Errorf("the metric reports that %f seconds are left", left)
	}
	at := w.waitUntil("indexer", "reports that it will expire", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionExpiringSoon).Status == metav1.ConditionTrue
	})
	if said := conditionOf(at, v1alpha1.ConditionExpiringSoon).Message; !isReady(at) || !strings.Contains(said, "set spec.rotation.every, or change spec.rotation.trigger") {
		t.Errorf("the notice: %s", said)
	}
	w.waitEvent("indexer", "Warning NoRotation: ", "Expires at")
	at = w.waitRefused("indexer", v1alpha1.ReasonExpired)
	if early := time.Until(at.Status.Current.ExpiresAt.Time); early > 0 || conditionOf(at, v1alpha1.ConditionExpiringSoon).Type != "" {
		t.Errorf("it expired %s early, conditions %v", early, at.Status.Conditions)
	}
	w.waitEvent("indexer", "Warning Expired: ", "spec.rotation.trigger")
	w.waitAccepted("the expired token", d, false)
	if left := w.secondsLeft(); left > 0 {
		t.Errorf("the metric reports that %f seconds are left", left)
	}

	w.editToken("indexer", `{lifetime: 100h}`) // an expired token never becomes valid again
	w.waitRefused("indexer", v1alpha1.ReasonExpired)
	if w.isAccepted(d) || len(w.records("indexer")) != 1 || w.digest(w.secret("indexer")) != d {
		t.Error("an expired token came back to life, or was replaced unasked")
	}
	w.editToken("indexer", `{rotation: {trigger: again}}`)
	w.waitVersion("indexer", 2)
	if now := w.currentDigest("indexer"); now == d || !w.isAccepted(now) || w.isAccepted(d) {
		t.Errorf("after a trigger, the new token is accepted: %t, the expired one: %t", w.isAccepted(now), w.isAccepted(d))
	}
}

// secondsLeft returns the seconds until the token indexer expires, by the metrics.
func (w *tenant) secondsLeft() float64 {
	w.Helper()
	var left float64
	w.eventually("the metrics have a sample of the token's expiry", func(context.Context) bool {
		found := w.op.metricLines("apptoken_token_expiry_seconds", `name="indexer"`, `namespace="`+w.name+`"`)
		if len(found) != 1 {
			return false
		}
		var err error
		_, value, _ := strings.Cut(found[0], "} ")
		left, err = strconv.ParseFloat(value, 64)
		return err == nil
	})
	return left
}

func TestLifetime_EditKeepsToken(t *testing.T) { // [row 23]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{lifetime: 100h}`)
	d := w.currentDigest("indexer")
	for lifetime, want := range map[string]time.Duration{`200h`: 200 * time.Hour, `1h`: time.Hour, `null`: 0} {
		w.editToken("indexer", `{lifetime: `+lifetime+`}`)
		at := w.waitReady("indexer")
		r := w.records("indexer")
		if len(r) != 1 || w.currentDigest("indexer") != d {
			t.Fatalf("lifetime %s made another token", lifetime)
		}
		switch end := r[0].Spec.ExpiresAt; {
		case want == 0 && (end != nil || at.Status.Current.ExpiresAt != nil):
			t.Errorf("without a lifetime it ends at %s", end)
		case want != 0 && (end == nil || !end.Time.Equal(r[0].Spec.IssuedAt.Add(want)) || !end.Equal(at.Status.Current.ExpiresAt)):
			t.Errorf("with lifetime %s it ends at %v, issued at %s", lifetime, end, r[0].Spec.IssuedAt)
		}
	}
}

func TestClone_CopiesGrantsOnce(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("clone", `{clientRef: null, roles: null, cloneFrom: {name: source}}`)
	w.waitRefused("clone", v1alpha1.ReasonSourceMissing)
	w.declareToken("source", `{roles: [primary, writer], sourceRanges: [10.0.0.0/8]}`)
	at := w.waitReady("clone")
	source, clone := w.currentDigest("source"), w.currentDigest("clone")
	grants := func() string {
		r := w.records("clone")[0].Spec
		return strings.Join([]string{string(r.Roles[0]), string(r.Roles[len(r.Roles)-1]), string(r.SourceRanges[0]), r.Client}, " ")
	}
	want := "primary writer 10.0.0.0/8 " + w.name
	if source == clone || grants() != want || at.Status.Client != w.name || at.Status.Cloned == nil || at.Status.Cloned.From != "source" {
		t.Errorf("the clone has %s, its status %v", grants(), at.Status.Cloned)
	}
	w.editToken("source", `{roles: [primary], sourceRanges: null}`)
	w.waitReady("source")
	w.must(admin.Delete(t.Context(), w.manifest("source", `{}`)))
	w.waitAccepted("the source", source, false)
	w.editToken("clone", `{rotation: {trigger: b}}`)
	w.waitVersion("clone", 2)
	if grants() != want || !w.isAccepted(w.currentDigest("clone")) {
		t.Errorf("without its source, the clone has %s", grants())
	}
}
