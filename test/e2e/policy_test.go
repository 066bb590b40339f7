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

func TestWhatAClientAsksOfItsTokensIsHeld(t *testing.T) { // [3.6] [3.12]
	t.Parallel()
	for sentence, c := range map[string]struct {
		policy, spec, reason string
		words                []string
		cure                 string
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
			w := aTenant(t)
			w.editClient(c.policy)
			w.declare("indexer", c.spec)
			at := w.refused("indexer", c.reason)
			for _, word := range c.words {
				if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, word) {
					t.Errorf("the message does not say %q: %s", word, said)
				}
			}
			w.nothingMinted("indexer")
			if c.cure != "" {
				w.edit("indexer", c.cure)
			} else {
				w.editClient(`{tokens: {maxCount: null}}`)
			}
			w.ready("indexer")
		})
	}
}

func TestTheOldestAreServedWhereACountIsSet(t *testing.T) {
	w := aTenant(t)
	w.editClient(`{tokens: {maxCount: 2}}`)
	for n := range 2 {
		w.declare(fmt.Sprintf("a-%d", n), `{}`)
		w.ready(fmt.Sprintf("a-%d", n))
	}
	w.declare("b", `{}`)
	w.refused("b", v1alpha1.ReasonTooManyTokens)
	w.nothingMinted("b")

	// An issued token stays valid when the count is lowered.
	w.editClient(`{tokens: {maxCount: 1}}`)
	w.edit("a-1", `{rotation: {trigger: "1"}}`)
	w.version("a-1", 2)

	w.editClient(`{tokens: {maxCount: 3}}`)
	w.ready("b")
}

func TestOnlyTokensThatCouldBeServedTakeAPlace(t *testing.T) { // [row 14]
	w := aTenant(t)
	w.editClient(`{tokens: {maxCount: 1}}`)
	stranger := tenantOf(t, w.op) // a namespace without a grant of the client
	stranger.declare("squatter", `{clientRef: {name: `+w.name+`}}`)
	stranger.refused("squatter", v1alpha1.ReasonNamespaceNotGranted)
	w.declare("greedy", `{roles: [nobody-has-this]}`)
	w.refused("greedy", v1alpha1.ReasonOverCeiling)
	w.declare("indexer", `{}`)
	w.ready("indexer")

	w.edit("greedy", `{roles: []}`)
	w.refused("greedy", v1alpha1.ReasonTooManyTokens)
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "indexer"}}))
	w.ready("greedy")
}

func TestNoMoreAreServedThanTheCountHoweverManyComeAtOnce(t *testing.T) { // [row 14]
	w := aTenant(t)
	w.editClient(`{tokens: {maxCount: 3}}`)
	var all []string
	for n := range 12 {
		all = append(all, fmt.Sprintf("t-%02d", n))
		w.declare(all[n], `{roles: [later]}`)
	}
	for _, name := range all {
		w.refused(name, v1alpha1.ReasonOverCeiling)
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
	w.eventually("three are served and the others told why not", func(context.Context) bool {
		told := 0
		for _, name := range all {
			var at v1alpha1.ApplicationToken
			if w.get(name, &at) && condition(&at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonTooManyTokens {
				told++
			}
		}
		return told == len(all)-3 && served() == 3
	})
}

func TestAMissingConsumerIsSaidAndTheTokenServesOn(t *testing.T) {
	w := aTenant(t)
	w.declare("indexer", `{restart: [{kind: Deployment, name: nobody}]}`)
	at := w.until("indexer", "says that its consumer is missing", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && condition(at, v1alpha1.ConditionRestarted).Reason == v1alpha1.ReasonRestartTargetMissing
	})
	c := condition(at, v1alpha1.ConditionRestarted)
	for _, word := range []string{`no Deployment "nobody"`, "create it, or remove it from spec.restart"} {
		if !strings.Contains(c.Message, word) {
			t.Errorf("the message does not say %q: %s", word, c.Message)
		}
	}
	if c.Status != metav1.ConditionFalse || !w.accepted(w.current("indexer")) {
		t.Errorf("Restarted=%s", c.Status)
	}
	w.told("indexer", "Warning RestartTargetMissing: ")
	w.edit("indexer", `{restart: null}`)
	w.until("indexer", "says nothing of restarts", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && condition(at, v1alpha1.ConditionRestarted).Type == ""
	})
}

func TestABadEditLeavesTheTokenThatRuns(t *testing.T) {
	w := aTenant(t)
	w.declare("indexer", `{rotation: {trigger: a}}`)
	d := w.current("indexer")
	for sentence, c := range map[string]struct{ spec, reason, cure string }{
		"a template that cannot be read": {`{secret: {data: {token: "{{ .Token"}}}`, v1alpha1.ReasonInvalidSpec, `{secret: null}`},
		"a template that fails":          {`{secret: {data: {token: "{{ .Token }}{{ index .Roles 9 }}"}}}`, v1alpha1.ReasonInvalidSpec, `{secret: null}`},
		"a template without the token":   {`{secret: {data: {token: x}}}`, v1alpha1.ReasonInvalidSpec, `{secret: null}`},
		"no cron expression":             {`{rotation: {schedule: never}}`, v1alpha1.ReasonInvalidSpec, `{rotation: {schedule: null}}`},
		"a trigger and a bad template":   {`{rotation: {trigger: b}, secret: {data: {token: x}}}`, v1alpha1.ReasonInvalidSpec, `{rotation: {trigger: a}, secret: null}`},
		"an unknown client":              {`{clientRef: {name: nobody}}`, v1alpha1.ReasonNamespaceNotGranted, `{clientRef: {name: ` + w.name + `}}`},
	} {
		w.edit("indexer", c.spec)
		w.refused("indexer", c.reason)
		if w.digest(w.secret("indexer")) != d || !w.accepted(d) || len(w.records("indexer")) != 1 {
			t.Errorf("%s: the token that runs was touched", sentence)
		}
		w.edit("indexer", c.cure)
		if w.current("indexer") != d {
			t.Errorf("%s: its cure made another token", sentence)
		}
	}
}

func TestAClientThatIsWrongSaysSo(t *testing.T) {
	w := aTenant(t)
	w.declare("indexer", `{}`)
	d := w.current("indexer")
	w.editClient(`{grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary, emperor]}]}`)
	w.eventually("the client names the role that it does not have", func(ctx context.Context) bool {
		var c v1alpha1.Client
		return admin.Get(ctx, client.ObjectKey{Name: w.name}, &c) == nil && len(c.Status.Conditions) == 2 && strings.Contains(c.Status.Conditions[0].Message, "emperor")
	})
	if !w.accepted(d) {
		t.Error("a slip of the client's took away what it still grants")
	}
}
