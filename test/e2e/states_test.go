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

func TestASuspendedTokenIsRefusedUntilItIsActiveAgain(t *testing.T) { // [3.7] [row 2]
	w := aTenant(t)
	w.declare("indexer", `{rotation: {trigger: a}}`)
	first := w.current("indexer")
	w.edit("indexer", `{rotation: {trigger: b}}`)
	w.version("indexer", 2)
	second := w.current("indexer")

	w.edit("indexer", `{state: Suspended}`)
	at := w.refused("indexer", v1alpha1.ReasonSuspended)
	w.judged("the suspended token", second, false)
	w.judged("its predecessor", first, false)
	if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "set spec.state to Active") {
		t.Errorf("the message: %s", said)
	}
	w.edit("indexer", `{rotation: {trigger: c}}`) // nothing new while suspended
	w.refused("indexer", v1alpha1.ReasonSuspended)
	if len(w.records("indexer")) != 2 || w.digest(w.secret("indexer")) != second {
		t.Error("a suspended token was rotated")
	}

	w.edit("indexer", `{state: Active, rotation: {trigger: b}}`)
	w.ready("indexer")
	w.judged("the token that is active again", second, true)
	w.judged("its predecessor", first, true)
}

func TestARevokedTokenIsGoneForGood(t *testing.T) { // [3.3] [3.7] [row 2]
	w := aTenant(t)
	w.declare("indexer", `{rotation: {trigger: a}}`)
	first := w.current("indexer")
	w.edit("indexer", `{rotation: {trigger: b}}`)
	w.version("indexer", 2)
	second := w.current("indexer")
	w.edit("indexer", `{state: Revoked}`)
	w.refused("indexer", v1alpha1.ReasonRevoked)
	w.judged("the revoked token", second, false)
	w.judged("its predecessor", first, false)
	w.nothingMinted("indexer")
	if err := w.tryEdit("indexer", `{state: Active}`); err == nil || !strings.Contains(err.Error(), "delete it and declare a new one") {
		t.Errorf("making it active again: %v", err)
	}
	w.edit("indexer", `{rotation: {trigger: c}}`)
	w.refused("indexer", v1alpha1.ReasonRevoked)
	w.nothingMinted("indexer")
}

func TestASuspendedClientStopsItsTokensAndLosesNone(t *testing.T) { // [3.7] [row 2]
	w := aTenant(t)
	w.declare("indexer", `{rotation: {trigger: a}}`)
	d := w.current("indexer")
	w.editClient(`{state: Suspended}`)
	w.until("indexer", "says that its client is suspended", func(at *v1alpha1.ApplicationToken) bool {
		return condition(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonClientSuspended
	})
	w.edit("indexer", `{rotation: {trigger: b}}`)
	w.refused("indexer", v1alpha1.ReasonClientSuspended)
	w.declare("late", `{}`)
	w.refused("late", v1alpha1.ReasonClientSuspended)
	w.nothingMinted("late")
	w.editClient(`{state: Active}`)
	w.ready("late")
	w.version("indexer", 2)
	if !w.accepted(d) {
		t.Error("the version before has lost its overlap")
	}
}

func TestADeletedClientStopsItsTokensAndBringsThemBackWithItself(t *testing.T) { // [3.7]
	w := aTenant(t)
	w.declare("indexer", `{}`)
	d := w.current("indexer")
	var c v1alpha1.Client
	w.must(admin.Get(t.Context(), client.ObjectKey{Name: w.name}, &c))
	w.must(admin.Delete(t.Context(), &c))
	w.until("indexer", "says that it may not use the client", func(at *v1alpha1.ApplicationToken) bool {
		return condition(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonNamespaceNotGranted
	})
	c.ResourceVersion, c.UID = "", ""
	w.must(admin.Create(t.Context(), &c))
	if w.current("indexer") != d {
		t.Error("the token is another")
	}
}

func TestALoweredCeilingCutsWhatIsIssued(t *testing.T) { // [3.6]
	w := aTenant(t)
	w.declare("indexer", `{roles: [primary, writer], permissions: [index.write]}`)
	d := w.current("indexer")
	holds := func(may bool, roles ...string) {
		t.Helper()
		w.eventually("the index knows of the cut", func(context.Context) bool {
			who, verdict := w.verify(d)
			return verdict == verify.Good && slices.Equal(who.Roles, roles) && slices.Contains(who.Permissions, "index.write") == may
		})
	}
	holds(true, "primary", "writer")
	w.editClient(`{grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary]}]}`)
	w.until("indexer", "is over the ceiling", func(at *v1alpha1.ApplicationToken) bool {
		return condition(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonOverCeiling
	})
	holds(false, "primary")
	w.eventually("the client counts it", func(ctx context.Context) bool {
		var c v1alpha1.Client
		return admin.Get(ctx, client.ObjectKey{Name: w.name}, &c) == nil && slices.Equal(c.Status.OverCeiling, []string{w.name + "/indexer"})
	})

	w.editClient(`{grants: []}`)
	w.until("indexer", "has lost its namespace's grant", func(at *v1alpha1.ApplicationToken) bool {
		return condition(at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonNamespaceNotGranted
	})
	w.judged("the token of a namespace without a grant", d, false)

	w.editClient(`{grants: [{namespaces: {selector: {matchLabels: {team: ` + w.name + `}}}, roles: [primary, writer]}]}`)
	w.ready("indexer")
	holds(true, "primary", "writer")
	w.judged("the token of a namespace with a grant again", d, true)

	// A namespace that loses its label loses the grant.
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	w.must(admin.Patch(t.Context(), ns, merge(t, "metadata", `{labels: {team: other}}`)))
	w.judged("the token of a namespace that is not selected any more", d, false)
}

func TestALifeEndsWithNoticeAndStaysEnded(t *testing.T) { // [3.3] [row 25]
	w := aTenant(t)
	w.declare("indexer", `{lifetime: 9s}`)
	d := w.current("indexer")
	if left := w.expiry(); left <= 0 || left > 9 {
		t.Errorf("the metric says that %f seconds are left", left)
	}
	at := w.until("indexer", "says that it will expire", func(at *v1alpha1.ApplicationToken) bool {
		return condition(at, v1alpha1.ConditionExpiringSoon).Status == metav1.ConditionTrue
	})
	if said := condition(at, v1alpha1.ConditionExpiringSoon).Message; !isReady(at) || !strings.Contains(said, "set spec.rotation.every, or change spec.rotation.trigger") {
		t.Errorf("the notice: %s", said)
	}
	w.told("indexer", "Warning NoRotation: ", "Expires at")
	at = w.refused("indexer", v1alpha1.ReasonExpired)
	if early := time.Until(at.Status.Current.ExpiresAt.Time); early > 0 || condition(at, v1alpha1.ConditionExpiringSoon).Type != "" {
		t.Errorf("it expired %s early, conditions %v", early, at.Status.Conditions)
	}
	w.told("indexer", "Warning Expired: ", "spec.rotation.trigger")
	w.judged("the expired token", d, false)
	if left := w.expiry(); left > 0 {
		t.Errorf("the metric says that %f seconds are left", left)
	}

	w.edit("indexer", `{lifetime: 100h}`) // an expired token never becomes valid again
	w.refused("indexer", v1alpha1.ReasonExpired)
	if w.accepted(d) || len(w.records("indexer")) != 1 || w.digest(w.secret("indexer")) != d {
		t.Error("an expired token came back to life, or was replaced unasked")
	}
	w.edit("indexer", `{rotation: {trigger: again}}`)
	w.version("indexer", 2)
	if now := w.current("indexer"); now == d || !w.accepted(now) || w.accepted(d) {
		t.Errorf("after a trigger, the new token is accepted: %t, the expired one: %t", w.accepted(now), w.accepted(d))
	}
}

// expiry returns the seconds until the token indexer expires, by the metrics.
func (w *tenant) expiry() float64 {
	w.Helper()
	var left float64
	w.eventually("the metrics have a sample of the token's expiry", func(context.Context) bool {
		found := w.op.samples("apptoken_token_expiry_seconds", `name="indexer"`, `namespace="`+w.name+`"`)
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

func TestALifetimeIsEditedInPlace(t *testing.T) { // [row 23]
	w := aTenant(t)
	w.declare("indexer", `{lifetime: 100h}`)
	d := w.current("indexer")
	for lifetime, want := range map[string]time.Duration{`200h`: 200 * time.Hour, `1h`: time.Hour, `null`: 0} {
		w.edit("indexer", `{lifetime: `+lifetime+`}`)
		at := w.ready("indexer")
		r := w.records("indexer")
		if len(r) != 1 || w.current("indexer") != d {
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

func TestACloneTakesOverTheGrantsOfItsSourceOnce(t *testing.T) {
	w := aTenant(t)
	w.declare("clone", `{clientRef: null, roles: null, cloneFrom: {name: source}}`)
	w.refused("clone", v1alpha1.ReasonSourceMissing)
	w.declare("source", `{roles: [primary, writer], sourceRanges: [10.0.0.0/8]}`)
	at := w.ready("clone")
	source, clone := w.current("source"), w.current("clone")
	grants := func() string {
		r := w.records("clone")[0].Spec
		return strings.Join([]string{string(r.Roles[0]), string(r.Roles[len(r.Roles)-1]), string(r.SourceRanges[0]), r.Client}, " ")
	}
	want := "primary writer 10.0.0.0/8 " + w.name
	if source == clone || grants() != want || at.Status.Client != w.name || at.Status.Cloned == nil || at.Status.Cloned.From != "source" {
		t.Errorf("the clone has %s, its status %v", grants(), at.Status.Cloned)
	}
	w.edit("source", `{roles: [primary], sourceRanges: null}`)
	w.ready("source")
	w.must(admin.Delete(t.Context(), w.manifest("source", `{}`)))
	w.judged("the source", source, false)
	w.edit("clone", `{rotation: {trigger: b}}`)
	w.version("clone", 2)
	if grants() != want || !w.accepted(w.current("clone")) {
		t.Errorf("without its source, the clone has %s", grants())
	}
}
