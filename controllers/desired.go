package controllers

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/schedule"
	"github.com/apptoken/operator/internal/token"
)

// Defaults of spec.rotation.retire. Each is cut down to what the rest of the spec leaves room for.
const (
	defaultMinOverlap  = 10 * time.Minute
	defaultQuietPeriod = time.Hour
	defaultMaxOverlap  = 24 * time.Hour
)

// asked holds what a token asks for, by its own spec or taken over from another token.
type asked struct {
	client       string
	user         string // empty: it acts for the client alone
	roles        []string
	permissions  []string
	sourceRanges []string
}

// surroundings holds the objects that a token depends on, and the facts that follow from them.
type surroundings struct {
	asked     asked
	client    *v1alpha1.Client // nil: there is no Client of that name
	user      *v1alpha1.User   // nil: the spec names no user, or there is no User of that name
	answered  bool             // the token is delivered in a response of the HTTP API
	namespace map[string]string
	refused   *plan.Refusal // a reference could not be resolved
	quota     *plan.Refusal // the quota of its client has no room for the token
}

// wish holds the desired state that a spec and its references ask for.
type wish struct {
	plan.Desired
	asked asked
	kind  token.Kind // of its versions; 0: unknown now
	// entitled is false where the client grants nothing to the namespace, or the user does not list
	// it.
	entitled bool
	counted  bool          // it counts against the quota
	quota    *plan.Refusal // why it does not; nil: it does, or the quota was not asked
	secret   secretWish
}

// understand builds the desired state from a spec and its references. An obstacle becomes a
// Refusal: the first that is found, from the widest to the narrowest. understand reads no clock and
// no cluster.
func understand(at *v1alpha1.ApplicationToken, s surroundings) wish {
	w := wish{asked: s.asked, kind: kindFor(s.asked), quota: s.quota}
	w.State = map[v1alpha1.TokenState]plan.State{
		v1alpha1.TokenSuspended: plan.Suspended,
		v1alpha1.TokenRevoked:   plan.Revoked,
	}[at.Spec.State]
	w.Spread = spread(at)
	w.Answered, w.Since = s.answered, at.CreationTimestamp.Time
	asksFor(at, &w.Desired)

	var problems []plan.Refusal
	refuse := func(reason, format string, args ...any) {
		problems = append(problems, plan.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)})
	}
	if s.asked.user != "" {
		w.Grants, w.entitled = grantsOfUser(at, s, refuse)
	}
	if s.user != nil {
		w.User = plan.User{UID: string(s.user.UID), Since: s.user.CreationTimestamp.Time}
	}
	if s.refused != nil {
		problems = append(problems, *s.refused)
	}
	if s.refused == nil && !s.isGranted(at, s.client) {
		// The message is the same for a client that does not exist, is suspended or grants only
		// other namespaces: a tenant learns nothing about clients that were not granted to it.
		refuse(v1alpha1.ReasonNamespaceNotGranted, "Namespace %s may not use client %q: it does not exist, or grants nothing to this namespace; correct the name, or ask the platform team to add the namespace to spec.grants of the client", at.Namespace, s.asked.client)
	}
	if at.Spec.Delivery == v1alpha1.DeliveryResponse {
		delivery(at, s, refuse)
	}
	if s.client != nil {
		if s.client.Spec.State == v1alpha1.StateSuspended {
			refuse(v1alpha1.ReasonClientSuspended, "Client %s is suspended, and every token of it is rejected; its platform team can set its spec.state to Active", s.client.Name)
		}
		if s.asked.user == "" {
			w.Grants, w.entitled = grants(at, s, refuse)
		}
		policy(at, s, refuse)
		w.SelfForbidden = s.client.Spec.Tokens.SelfRotation == v1alpha1.SelfRotationForbid
	}
	if w.Grants != nil {
		w.Grants.Suspended = !w.entitled || s.quota != nil || at.Spec.State == v1alpha1.TokenSuspended
	}
	rhythm(at, &w.Desired, refuse)
	pace(s.client, &w.Desired, refuse)
	w.secret = secretOf(at, s.client, refuse)
	if len(problems) > 0 {
		w.Refused = problems[0]
	}
	return w
}

type refuser func(reason, format string, args ...any)

// grants cuts the requested grants down to what the client grants to the namespace. It reports
// whether the client grants anything.
func grants(at *v1alpha1.ApplicationToken, s surroundings, refuse refuser) (g *plan.Grants, entitled bool) {
	if s.answered {
		return grantsOfAnswer(s, refuse), true
	}
	drawable, granted := drawable(s.client, at.Namespace, s.namespace)
	held := ceiling(s.client).Restrict(drawable).Cut(s.asked.roles, s.asked.permissions)
	if granted && held.Over() {
		where := "the spec"
		if at.Spec.CloneFrom != nil {
			where = "the spec of the token that is cloned"
		}
		refuse(v1alpha1.ReasonOverCeiling, "Client %s does not grant %s to namespace %s; remove it from %s, or ask the client's platform team to grant it",
			s.client.Name, few(append(slices.Clone(held.OverRoles), held.OverPermissions...)), at.Namespace, where)
	}
	return &plan.Grants{
		Client:       s.client.Name,
		Roles:        held.Roles,
		Permissions:  held.Permissions,
		SourceRanges: s.asked.sourceRanges,
	}, granted
}

func ceiling(c *v1alpha1.Client) grant.Ceiling {
	roles := make([]grant.Role, len(c.Spec.Roles))
	for i, r := range c.Spec.Roles {
		roles[i] = grant.Role{Name: string(r.Name), Permissions: sorted(r.Permissions)}
	}
	return grant.NewCeiling(roles)
}

// drawable returns the roles that a namespace may draw from a client, and reports whether it may
// draw any.
func drawable(c *v1alpha1.Client, namespace string, nsLabels map[string]string) (roles []string, granted bool) {
	for _, g := range c.Spec.Grants {
		if selects(g.Namespaces, namespace, nsLabels) {
			granted = true
			roles = append(roles, sorted(g.Roles)...)
		}
	}
	return roles, granted
}

// selects reports whether a selection includes a namespace. Unknown labels are nil, and no selector
// matches them: a selector for labels that must be absent would match everything.
func selects(s v1alpha1.NamespaceSelection, namespace string, nsLabels map[string]string) bool {
	if s.Selector == nil {
		return slices.Contains(s.Names, namespace)
	}
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	return nsLabels != nil && err == nil && selector.Matches(labels.Set(nsLabels)) // an invalid selector selects nothing
}

// policy checks the token against what its client requires of every token.
func policy(at *v1alpha1.ApplicationToken, s surroundings, refuse refuser) {
	p := s.client.Spec.Tokens
	lifetime, limit := duration(at.Spec.Lifetime, 0), duration(p.MaxLifetime, 0)
	rotates := at.Spec.Rotation.Every != "" || at.Spec.Rotation.Schedule != ""
	switch {
	case limit > 0 && lifetime > limit:
		refuse(v1alpha1.ReasonLifetimeTooLong, "Client %s allows a lifetime of at most %s; shorten spec.lifetime", s.client.Name, p.MaxLifetime)
	case lifetime == 0 && p.NonExpiring == v1alpha1.NonExpiringForbid:
		refuse(v1alpha1.ReasonNonExpiringForbidden, "Client %s requires every token to expire; set spec.lifetime", s.client.Name)
	case lifetime == 0 && p.NonExpiring == v1alpha1.NonExpiringWithRotation && !rotates:
		refuse(v1alpha1.ReasonNonExpiringForbidden, "Client %s requires every token to expire or to rotate; set spec.lifetime, spec.rotation.every or spec.rotation.schedule", s.client.Name)
	}
	if s.quota != nil {
		refuse(s.quota.Reason, "%s", s.quota.Message)
	}
}

// rhythm parses when the token expires and rotates.
func rhythm(at *v1alpha1.ApplicationToken, d *plan.Desired, refuse refuser) {
	r := at.Spec.Rotation
	read := func(field, text string, otherwise time.Duration) time.Duration {
		v, err := parseDuration(text, otherwise)
		if err != nil {
			refuse(v1alpha1.ReasonInvalidSpec, "spec.%s: invalid duration: use h, m and s, for example 720h or 1h30m", field)
			return otherwise
		}
		return v
	}
	d.Lifetime = read("lifetime", string(at.Spec.Lifetime), 0)
	d.Every = read("rotation.every", string(r.Every), 0)

	var retire v1alpha1.Retire
	if r.Retire != nil {
		retire = *r.Retire
	}
	if retire.When == v1alpha1.RetireAfterOverlap {
		d.Retire.When = plan.AfterOverlap
	}
	longest := defaultMaxOverlap
	if d.Every > 0 {
		longest = min(longest, d.Every)
	}
	d.Retire.Quiet = read("rotation.retire.quietPeriod", string(retire.QuietPeriod), defaultQuietPeriod)
	d.Retire.Max = read("rotation.retire.maxOverlap", string(retire.MaxOverlap), max(longest, duration(retire.MinOverlap, 0)))
	d.Retire.Min = read("rotation.retire.minOverlap", string(retire.MinOverlap), min(defaultMinOverlap, d.Retire.Max))
	if d.Every > 0 && d.Retire.Max > d.Every {
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation.retire: predecessors would stay for %s, longer than the interval of %s; shorten the overlap, or lengthen spec.rotation.every", d.Retire.Max, d.Every)
	}
	if r.Schedule != "" {
		calendar, err := ParseSchedule(r.Schedule, r.TimeZone)
		if err != nil {
			refuse(v1alpha1.ReasonInvalidSpec, "%s", err)
			return
		}
		d.Schedule = calendar
	}
}

// defaultMinRotationInterval is the default minimum interval between rotations by interval,
// calendar or lifetime. Each rotation costs six writes and wakes every consumer, so that a tenant
// could slow others down.
const defaultMinRotationInterval = 10 * time.Minute

// pacedFrom is the instant from which calendars are sampled. It is fixed, so that the same spec
// always gets the same result.
var pacedFrom = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// AsWritten returns d with its calendar in UTC. Where a clock is set forward or back, two instants
// come closer together than the spec asks. plan.NextRotation skips the later one then, and the spec
// stays valid.
func AsWritten(d plan.Desired) plan.Desired {
	if c, ok := d.Schedule.(schedule.Cron); ok {
		d.Schedule = c.In(time.UTC)
	}
	return d
}

// pace refuses a token that rotates at shorter intervals than its client allows.
func pace(c *v1alpha1.Client, d *plan.Desired, refuse refuser) {
	d.MinInterval = defaultMinRotationInterval
	if c == nil {
		return
	}
	d.MinInterval = duration(c.Spec.Tokens.MinRotationInterval, defaultMinRotationInterval)
	shortest := plan.ShortestInterval(AsWritten(*d), pacedFrom)
	if shortest == 0 || shortest >= d.MinInterval {
		return
	}
	const remedy = "; rotate less often, or ask its platform team to lower spec.tokens.minRotationInterval"
	switch {
	case d.Every == shortest:
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation.every: %s is too short: client %s allows a rotation every %s at most"+remedy, shortest, c.Name, d.MinInterval)
	case d.Schedule != nil:
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation.schedule, or spec.lifetime: two rotations within %s are too many: client %s allows one every %s at most"+remedy, shortest, c.Name, d.MinInterval)
	default:
		refuse(v1alpha1.ReasonInvalidSpec, "spec.lifetime: it is so short that the token rotates every %s, and client %s allows a rotation every %s at most; lengthen it, or ask its platform team to lower spec.tokens.minRotationInterval", shortest, c.Name, d.MinInterval)
	}
}

// parseDuration parses a duration that is not negative. It returns otherwise if text is empty.
func parseDuration(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("invalid duration %q", text)
	}
	return v, nil
}

// duration parses a duration that was validated elsewhere. It returns otherwise if text is empty or
// invalid.
func duration[T ~string](text T, otherwise time.Duration) time.Duration {
	v, err := parseDuration(string(text), otherwise)
	if err != nil {
		return otherwise
	}
	return v
}

// spread returns the position of the token in [0, 1) among tokens that rotate at the same instant.
// It is the same after a restart.
func spread(at *v1alpha1.ApplicationToken) float64 {
	sum := sha256.Sum256([]byte(at.Namespace + "/" + at.Name))
	return float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
}

// askedBy returns what a token with a clientRef asks for.
func askedBy(at *v1alpha1.ApplicationToken) asked {
	return asked{
		client:       string(at.Spec.ClientRef.Name),
		roles:        sorted(at.Spec.Roles),
		permissions:  sorted(at.Spec.Permissions),
		sourceRanges: sorted(at.Spec.SourceRanges),
	}
}

func sorted[T ~string](list []T) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// few returns the first entries of a list as text, so that a message stays readable.
func few(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// secretWish holds the Secret that a spec asks for.
type secretWish struct {
	name        string
	templates   render.Templates
	labels      map[string]string
	annotations map[string]string
	refusedKeys []string // labels and annotations that the spec must not set, as passedOn lists them
}
