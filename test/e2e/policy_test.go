package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestTokenPolicy_IsEnforced(t *testing.T) { // [3.6] [3.12]
	t.Parallel()
	for sentence, c := range map[string]struct {
		policy, spec, hasReason string
		words                   []string
		validSpec               string
	}{
		"a lifetime over the longest": {
			`{tokens: {maxLifetime: 24h}}`, `{lifetime: 25h}`, v1alpha1.ReasonLifetimeTooLong,
			[]string{"at most 24h", "shorten spec.lifetime"}, `{lifetime: 24h}`,
		},
		"no lifetime where all must have one": {
			`{tokens: {nonExpiring: Forbid}}`, `{rotation: {every: 24h}}`, v1alpha1.ReasonNonExpiringForbidden,
			[]string{"set spec.lifetime"}, `{lifetime: 48h}`,
		},
		"neither a lifetime nor rotation where one must be": {
			`{tokens: {nonExpiring: WithRotation}}`, `{rotation: {trigger: "1"}}`, v1alpha1.ReasonNonExpiringForbidden,
			[]string{"spec.lifetime", "spec.rotation.every", "spec.rotation.schedule"}, `{rotation: {schedule: "@daily"}}`,
		},
		"no count left": {
			`{tokens: {maxCount: 0}}`, `{}`, v1alpha1.ReasonTooManyTokens,
			[]string{"at most 0 tokens", "spec.tokens.maxCount"}, "",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.editClient(c.policy)
			w.declareToken("indexer", c.spec)
			at := w.waitRefused("indexer", c.hasReason)
			for _, word := range c.words {
				if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, word) {
					t.Errorf("the message does not say %q: %s", word, said)
				}
			}
			w.assertNothingMinted("indexer")
			if c.validSpec != "" {
				w.editToken("indexer", c.validSpec)
			} else {
				w.editClient(`{tokens: {maxCount: null}}`)
			}
			w.waitReady("indexer")
		})
	}
}

func TestQuota_OldestTokensAreServed(t *testing.T) {
	w := newSharedTenant(t)
	w.editClient(`{tokens: {maxCount: 2}}`)
	for n := range 2 {
		w.declareToken(fmt.Sprintf("a-%d", n), `{}`)
		w.waitReady(fmt.Sprintf("a-%d", n))
	}
	w.declareToken("b", `{}`)
	w.waitRefused("b", v1alpha1.ReasonTooManyTokens)
	w.assertNothingMinted("b")

	// An issued token stays valid when the count is lowered.
	w.editClient(`{tokens: {maxCount: 1}}`)
	w.editToken("a-1", `{rotation: {trigger: "1"}}`)
	w.waitVersion("a-1", 2)

	w.editClient(`{tokens: {maxCount: 3}}`)
	w.waitReady("b")
}

func TestQuota_RefusedTokensDoNotCount(t *testing.T) { // [row 14]
	w := newSharedTenant(t)
	w.editClient(`{tokens: {maxCount: 1}}`)
	other := newTenant(t, w.op) // a namespace without a grant of the client
	other.declareToken("squatter", `{clientRef: {name: `+w.name+`}}`)
	other.waitRefused("squatter", v1alpha1.ReasonNamespaceNotGranted)
	w.declareToken("greedy", `{roles: [absent-has-this]}`)
	w.waitRefused("greedy", v1alpha1.ReasonOverCeiling)
	w.declareToken("indexer", `{}`)
	w.waitReady("indexer")

	w.editToken("greedy", `{roles: []}`)
	w.waitRefused("greedy", v1alpha1.ReasonTooManyTokens)
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "indexer"}}))
	w.waitReady("greedy")
}

func TestQuota_HoldsUnderConcurrentTokens(t *testing.T) { // [row 14]
	w := newSharedTenant(t)
	w.editClient(`{tokens: {maxCount: 3}}`)
	var all []string
	for n := range 12 {
		all = append(all, fmt.Sprintf("t-%02d", n))
		w.declareToken(all[n], `{roles: [later]}`)
	}
	for _, name := range all {
		w.waitRefused(name, v1alpha1.ReasonOverCeiling)
	}
	w.editClient(`{roles: [{name: primary}, {name: later}], grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary, later]}]}`)
	served := func() (n int) {
		for _, name := range all {
			if len(w.records(name)) > 0 {
				n++
			}
		}
		return n
	}
	w.eventually("three are served and the others state why not", func(context.Context) bool {
		told := 0
		for _, name := range all {
			var at v1alpha1.ApplicationToken
			if w.get(name, &at) && conditionOf(&at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonTooManyTokens {
				told++
			}
		}
		return told == len(all)-3 && served() == 3
	})
}

func TestRestart_MissingTargetIsReportedAndTokenStaysReady(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{restart: [{kind: Deployment, name: absent}]}`)
	at := w.waitUntil("indexer", "reports that its consumer is missing", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && conditionOf(at, v1alpha1.ConditionRestarted).Reason == v1alpha1.ReasonRestartTargetMissing
	})
	c := conditionOf(at, v1alpha1.ConditionRestarted)
	for _, word := range []string{`no Deployment "absent"`, "create it, or remove it from spec.restart"} {
		if !strings.Contains(c.Message, word) {
			t.Errorf("the message does not say %q: %s", word, c.Message)
		}
	}
	if c.Status != metav1.ConditionFalse || !w.isAccepted(w.currentDigest("indexer")) {
		t.Errorf("Restarted=%s", c.Status)
	}
	w.waitEvent("indexer", "Warning RestartTargetMissing: ")
	w.editToken("indexer", `{restart: null}`)
	w.waitUntil("indexer", "says nothing of restarts", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && conditionOf(at, v1alpha1.ConditionRestarted).Type == ""
	})
}

func TestInput_InvalidEditKeepsToken(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	d := w.currentDigest("indexer")
	for sentence, c := range map[string]struct{ spec, hasReason, validSpec string }{
		"a template that cannot be read": {`{secret: {data: {token: "{{ .Token"}}}`, v1alpha1.ReasonInvalidSpec, `{secret: null}`},
		"a template that fails":          {`{secret: {data: {token: "{{ .Token }}{{ index .Roles 9 }}"}}}`, v1alpha1.ReasonInvalidSpec, `{secret: null}`},
		"a template without the token":   {`{secret: {data: {token: x}}}`, v1alpha1.ReasonInvalidSpec, `{secret: null}`},
		"no cron expression":             {`{rotation: {schedule: never}}`, v1alpha1.ReasonInvalidSpec, `{rotation: {schedule: null}}`},
		"a trigger and a bad template":   {`{rotation: {trigger: b}, secret: {data: {token: x}}}`, v1alpha1.ReasonInvalidSpec, `{rotation: {trigger: a}, secret: null}`},
		"an unknown client":              {`{clientRef: {name: absent}}`, v1alpha1.ReasonNamespaceNotGranted, `{clientRef: {name: ` + w.name + `}}`},
	} {
		w.editToken("indexer", c.spec)
		w.waitRefused("indexer", c.hasReason)
		if w.digest(w.secret("indexer")) != d || !w.isAccepted(d) || len(w.records("indexer")) != 1 {
			t.Errorf("%s: the token that runs was touched", sentence)
		}
		w.editToken("indexer", c.validSpec)
		if w.currentDigest("indexer") != d {
			t.Errorf("%s: its cure made another token", sentence)
		}
	}
}

func TestClient_ReportsUnknownRole(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.editClient(`{grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary, emperor]}]}`)
	w.eventually("the client names the role that it does not have", func(ctx context.Context) bool {
		var c v1alpha1.Client
		return admin.Get(ctx, client.ObjectKey{Name: w.name}, &c) == nil && len(c.Status.Conditions) == 2 && strings.Contains(c.Status.Conditions[0].Message, "emperor")
	})
	if !w.isAccepted(d) {
		t.Error("a slip of the client's took away what it still grants")
	}
}
