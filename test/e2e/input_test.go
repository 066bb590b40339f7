package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// longText is longer than any field allows.
var longText = strings.Repeat("a", 10_000)

func TestInput_APIServerRejectsInvalidSpecs(t *testing.T) { // [3.12] [row 17]
	w := newSharedTenant(t)
	for sentence, c := range map[string]struct {
		spec  string
		words []string
	}{
		"two references":                    {`{userRef: {name: alice}}`, []string{"set exactly one of clientRef, userRef and cloneFrom"}},
		"no reference":                      {`{clientRef: null}`, []string{"set exactly one of clientRef, userRef and cloneFrom"}},
		"a clone of itself":                 {`{clientRef: null, roles: null, cloneFrom: {name: indexer}}`, []string{"spec.cloneFrom", "must not name this token"}},
		"a clone with roles of its own":     {`{clientRef: null, cloneFrom: {name: other}}`, []string{"remove them"}},
		"a lifetime of nothing":             {`{lifetime: 0s}`, []string{"spec.lifetime", "more than zero"}},
		"an empty lifetime":                 {`{lifetime: ""}`, []string{"spec.lifetime"}},
		"a negative lifetime":               {`{lifetime: -1h}`, []string{"spec.lifetime", "more than zero", "720h"}},
		"a lifetime beyond all measure":     {`{lifetime: 99999999h}`, []string{"spec.lifetime", "at most 999999h"}},
		"a lifetime in days":                {`{lifetime: 30d}`, []string{"spec.lifetime", "such as 720h"}},
		"a lifetime that is a number":       {`{lifetime: 3600}`, []string{"spec.lifetime", "string"}},
		"an interval of nothing":            {`{rotation: {every: 0h}}`, []string{"spec.rotation.every", "more than zero"}},
		"a negative interval":               {`{rotation: {every: "-5m"}}`, []string{"spec.rotation.every", "such as 720h"}},
		"an interval and a schedule":        {`{rotation: {every: 1h, schedule: "0 3 * * 1"}}`, []string{"set every or schedule, not both"}},
		"a zone without a schedule":         {`{rotation: {every: 1h, timeZone: Europe/Zurich}}`, []string{"spec.rotation.timeZone", "requires schedule"}},
		"an overlap longer than the turn":   {`{rotation: {every: 1h, retire: {maxOverlap: 2h}}}`, []string{"maxOverlap", "longer than every", "shorten the overlap"}},
		"a least overlap above the most":    {`{rotation: {retire: {minOverlap: 2h, maxOverlap: 1h}}}`, []string{"minOverlap", "longer than maxOverlap"}},
		"a negative quiet period":           {`{rotation: {retire: {quietPeriod: "-1s"}}}`, []string{"quietPeriod", "not negative"}},
		"a zone that is a path":             {`{rotation: {schedule: "@daily", timeZone: ../../etc/passwd}}`, []string{"spec.rotation.timeZone", "should match"}},
		"a key that no Secret can have":     {`{secret: {data: {"a key": "{{ .Token }}"}}}`, []string{"spec.secret.data", "each key must be one that a Secret can have"}},
		"the key ..":                        {`{secret: {data: {"..": "{{ .Token }}"}}}`, []string{"each key must be one that a Secret can have"}},
		"no key at all":                     {`{secret: {data: {}}}`, []string{"spec.secret.data", "at least 1"}},
		"a label that is none":              {`{secret: {labels: {"-": x}}}`, []string{"spec.secret.labels", "such as team"}},
		"a label's value that is none":      {`{secret: {labels: {team: "a b"}}}`, []string{"must be the value of a label"}},
		"an address range that is none":     {`{sourceRanges: [10.0.0.0/33]}`, []string{"spec.sourceRanges[0]", "such as 10.0.0.0/8"}},
		"an address where a range belongs":  {`{sourceRanges: [10.0.0.1]}`, []string{"must be an address range"}},
		"a Secret in another namespace":     {`{secret: {name: other/indexer}}`, []string{"spec.secret.name", "must be the name of an object"}},
		"a client with a slash":             {`{clientRef: {name: ../clients}}`, []string{"spec.clientRef.name", "must be the name of an object"}},
		"a client in another namespace":     {`{clientRef: {name: acme, namespace: other}}`, []string{"unknown field", "namespace"}},
		"a kind that cannot be restarted":   {`{restart: [{kind: CronJob, name: indexer}]}`, []string{"spec.restart[0].kind", "Deployment", "StatefulSet", "DaemonSet"}},
		"the same restart twice":            {`{restart: [{kind: Deployment, name: a}, {kind: Deployment, name: a}]}`, []string{"spec.restart[1]", "Duplicate"}},
		"a state that there is not":         {`{state: Paused}`, []string{"spec.state", "Active", "Suspended", "Revoked"}},
		"a role with a space":               {`{roles: ["a b"]}`, []string{"spec.roles[0]"}},
		"a permission with a star amid":     {`{permissions: ["a.*.b"]}`, []string{"spec.permissions[0]"}},
		"an endless trigger":                {`{rotation: {trigger: ` + longText + `}}`, []string{"spec.rotation.trigger", "253"}},
		"an endless schedule":               {`{rotation: {schedule: ` + longText + `}}`, []string{"spec.rotation.schedule", "128"}},
		"an endless role":                   {`{roles: [` + longText + `]}`, []string{"spec.roles[0]", "63"}},
		"an endless permission":             {`{permissions: [` + longText + `]}`, []string{"spec.permissions[0]", "128"}},
		"an endless client":                 {`{clientRef: {name: ` + longText + `}}`, []string{"spec.clientRef.name", "253"}},
		"an endless template":               {`{secret: {data: {token: ` + longText + `}}}`, []string{"spec.secret.data", "4096"}},
		"an endless annotation":             {`{secret: {annotations: {x: ` + longText + `}}}`, []string{"spec.secret.annotations", "4096"}},
		"an endless label":                  {`{secret: {labels: {x: ` + longText + `}}}`, []string{"spec.secret.labels", "63"}},
		"an endless name of a Secret":       {`{secret: {name: ` + longText + `}}`, []string{"spec.secret.name", "253"}},
		"an endless name of a workload":     {`{restart: [{kind: Deployment, name: ` + longText + `}]}`, []string{"spec.restart[0].name", "253"}},
		"an endless address range":          {`{sourceRanges: [` + longText + `]}`, []string{"spec.sourceRanges[0]", "43"}},
		"an endless lifetime":               {`{lifetime: ` + longText + `h}`, []string{"spec.lifetime", "26"}},
		"a field that there is not, or yet": {`{secret: {type: kubernetes.io/service-account-token}}`, []string{"unknown field", "type"}},
	} {
		err := client.WithFieldValidation(admin, "Strict").Create(t.Context(), w.manifest("indexer", c.spec))
		if err == nil {
			t.Errorf("%s: it was accepted", sentence)
			w.must(admin.Delete(t.Context(), w.manifest("indexer", `{}`)))
			continue
		}
		if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			t.Errorf("%s: %v", sentence, err)
		}
		for _, word := range c.words {
			if said := err.Error(); !strings.Contains(said, word) {
				t.Errorf("%s: the server does not say %q: %s", sentence, word, said[:min(len(said), 600)])
			}
		}
	}
}

// unservableSpecs holds specs that only the operator can reject: the reason that it gives, and
// words of its message.
var unservableSpecs = map[string]struct {
	spec, hasReason string
	words           []string
}{
	"unknown-client":      {`{clientRef: {name: absent}}`, v1alpha1.ReasonNamespaceNotGranted, []string{`may not use client "absent"`, "correct the name", "spec.grants"}},
	"user":                {`{clientRef: null, roles: null, userRef: {name: alice}}`, v1alpha1.ReasonNamespaceNotGranted, []string{`may not use User "alice"`, "spec.clientRef"}},
	"clone-of-outsider":   {`{clientRef: null, roles: null, cloneFrom: {name: outsider}}`, v1alpha1.ReasonSourceMissing, []string{`"outsider"`, "correct spec.cloneFrom"}},
	"loop-a":              {`{clientRef: null, roles: null, cloneFrom: {name: loop-b}}`, v1alpha1.ReasonCloneLoop, []string{"clientRef"}},
	"loop-b":              {`{clientRef: null, roles: null, cloneFrom: {name: loop-a}}`, v1alpha1.ReasonCloneLoop, []string{"leads back to this token"}},
	"triangle-a":          {`{clientRef: null, roles: null, cloneFrom: {name: triangle-b}}`, v1alpha1.ReasonCloneLoop, []string{"clientRef"}},
	"triangle-b":          {`{clientRef: null, roles: null, cloneFrom: {name: triangle-c}}`, v1alpha1.ReasonCloneLoop, []string{"clientRef"}},
	"triangle-c":          {`{clientRef: null, roles: null, cloneFrom: {name: triangle-a}}`, v1alpha1.ReasonCloneLoop, []string{"clientRef"}},
	"tail-of-loop":        {`{clientRef: null, roles: null, cloneFrom: {name: loop-a}}`, v1alpha1.ReasonCloneLoop, []string{"clone that token directly"}},
	"over-ceiling":        {`{roles: [primary, developer]}`, v1alpha1.ReasonOverCeiling, []string{"does not grant developer", "remove it from the spec"}},
	"no-such-role":        {`{roles: [emperor]}`, v1alpha1.ReasonOverCeiling, []string{"emperor"}},
	"permission-over":     {`{permissions: [sec.users]}`, v1alpha1.ReasonOverCeiling, []string{"sec.users"}},
	"permission-star":     {`{permissions: ["*"]}`, v1alpha1.ReasonOverCeiling, []string{"*"}},
	"no-cron":             {`{rotation: {schedule: every day}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.schedule", "five fields", "0 3 * * 1"}},
	"cron-of-six":         {`{rotation: {schedule: "0 0 3 * * 1"}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.schedule", "five fields"}},
	"cron-with-zone":      {`{rotation: {schedule: "TZ=Europe/Zurich 0 3 * * 1"}}`, v1alpha1.ReasonInvalidSpec, []string{"a time zone goes into spec.rotation.timeZone"}},
	"cron-with-cron-zone": {`{rotation: {schedule: "CRON_TZ=/etc/passwd 0 3 * * 1"}}`, v1alpha1.ReasonInvalidSpec, []string{"a time zone goes into spec.rotation.timeZone"}},
	"every-in-schedule":   {`{rotation: {schedule: "@every 1s"}}`, v1alpha1.ReasonInvalidSpec, []string{"an interval into spec.rotation.every"}},
	"reboot":              {`{rotation: {schedule: "@reboot"}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.schedule"}},
	"thirtieth-february":  {`{rotation: {schedule: "0 0 30 2 *"}}`, v1alpha1.ReasonInvalidSpec, []string{"never comes due"}},
	"no-zone":             {`{rotation: {schedule: "@daily", timeZone: Europe/Nowhere}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.timeZone", "Europe/Zurich"}},
	"zone-of-the-host":    {`{rotation: {schedule: "@daily", timeZone: Local}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.timeZone"}},
	"long-overlap":        {`{rotation: {every: 5m, retire: {minOverlap: 10m}}}`, v1alpha1.ReasonInvalidSpec, []string{"longer than the interval", "lengthen spec.rotation.every"}},
	"every-second":        {`{rotation: {every: 1s}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.every: 1s is too short", "a rotation every 10m0s at most", "spec.tokens.minRotationInterval"}},
	"every-minute":        {`{rotation: {schedule: "* * * * *"}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.rotation.schedule", "two rotations within 1m0s", "spec.tokens.minRotationInterval"}},
	"two-in-an-hour":      {`{rotation: {schedule: "58,59 3 * * *"}}`, v1alpha1.ReasonInvalidSpec, []string{"two rotations within 1m0s"}},
	"short-life":          {`{lifetime: 3m, rotation: {every: 24h}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.lifetime", "rotates every 2m0s"}},
	"open-template":       {`{secret: {data: {token: "{{ .Token"}}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.secret.data", `"token"`, "cannot be read"}},
	"failing-template":    {`{secret: {data: {token: "{{ .Token }}{{ index .Roles 9 }}"}}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.secret.data", "fails", "out of range"}},
	"unknown-value":       {`{secret: {data: {token: "{{ .Token }}{{ .Password }}"}}}`, v1alpha1.ReasonInvalidSpec, []string{"spec.secret.data", "Password"}},
	"reading-template":    {`{secret: {data: {token: "{{ lookup \"v1\" \"Secret\" }}"}}}`, v1alpha1.ReasonInvalidSpec, []string{"lookup", "b64enc"}},
	"unlisted-function":   {`{secret: {data: {token: "{{ printf \"%9999999s\" .Token }}"}}}`, v1alpha1.ReasonInvalidSpec, []string{"calls printf", "b64enc"}},
	"template-of-nothing": {`{secret: {data: {user: "{{ .Client }}"}}}`, v1alpha1.ReasonInvalidSpec, []string{"no key holds the token", "{{ .Token }}"}},
	"reserved-label":      {`{secret: {labels: {apptoken.dev/managed: "false"}}}`, v1alpha1.ReasonInvalidSpec, []string{"apptoken.dev/managed", "remove it"}},
	"acted-on-label":      {`{secret: {labels: {argocd.argoproj.io/secret-type: cluster}}}`, v1alpha1.ReasonInvalidSpec, []string{"argocd.argoproj.io/secret-type", "allowedSecretMetadata"}},
	"reserved-record":     {`{secret: {annotations: {apptoken.dev/record: at-0}}}`, v1alpha1.ReasonInvalidSpec, []string{"apptoken.dev/record", "remove it"}},
	"service-account":     {`{secret: {annotations: {kubernetes.io/service-account.name: default}}}`, v1alpha1.ReasonInvalidSpec, []string{"kubernetes.io/service-account.name", "remove it"}}, // [row 4]
	"response":            {`{delivery: Response}`, v1alpha1.ReasonDeliveryUnavailable, []string{"spec.delivery", "set it to Secret"}},
}

// validSpec makes any of these specs valid.
const validSpec = `{clientRef: {name: %s}, userRef: null, cloneFrom: null, roles: [primary], permissions: null, rotation: null, secret: null, delivery: Secret}`

func TestInput_OperatorRefusesUnservableSpecs(t *testing.T) { // [3.6] [3.12] [rows 3, 4, 5, 7]
	w := newSharedTenant(t)
	names := slices.Sorted(maps.Keys(unservableSpecs))
	for _, name := range names {
		w.declareToken(name, unservableSpecs[name].spec)
	}
	seen := map[string]string{}
	for _, name := range names {
		c := unservableSpecs[name]
		at := w.waitRefused(name, c.hasReason)
		for _, word := range c.words {
			if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, word) {
				t.Errorf("%s: the message does not say %q: %s", name, word, said)
			}
		}
		w.waitEvent(name, "Warning "+c.hasReason+": ")
		w.assertNothingMinted(name)
	}

	// Loops wake each other for as long as one of them changes. Then nothing changes, and nothing
	// is asked of the API server.
	w.waitIdle("alpha")
	for _, name := range names {
		seen[name] = w.revision(name)
	}
	mark := sentRequests.mark()
	w.waitIdle("omega")
	for _, name := range names {
		if now := w.revision(name); now != seen[name] {
			t.Errorf("%s has changed while no client changed it", name)
		}
	}
	for _, r := range sentRequests.since(mark, inNamespace(w.name)) {
		if slices.Contains(names, r.name) {
			t.Errorf("the operator is not at rest: it sent %v", r)
		}
	}

	for _, name := range names {
		w.editToken(name, fmt.Sprintf(validSpec, w.name))
	}
	for _, name := range names {
		if at := w.waitReady(name); conditionOf(at, v1alpha1.ConditionStalled).Type != "" {
			t.Errorf("%s is Ready and Stalled", name)
		}
		if !w.isAccepted(w.currentDigest(name)) {
			t.Errorf("%s is cured, and its token refused", name)
		}
	}
}

// assertNothingMinted asserts that a token has neither a record nor a Secret.
func (w *tenant) assertNothingMinted(name string) {
	w.Helper()
	if records := w.records(name); len(records) > 0 {
		w.Errorf("%s: refused, but there are %d records", name, len(records))
	}
	if w.get(name, &corev1.Secret{}) {
		w.Errorf("%s: refused, but there is a Secret", name)
	}
}

// waitIdle waits until the operator has served two tokens, one after the other, that were declared
// after all others.
func (w *tenant) waitIdle(name string) {
	w.Helper()
	for _, suffix := range []string{"-1", "-2"} {
		w.declareToken(name+suffix, `{}`)
		w.waitReady(name + suffix)
	}
}

func (w *tenant) revision(name string) string {
	w.Helper()
	var at v1alpha1.ApplicationToken
	w.get(name, &at)
	return at.ResourceVersion
}
