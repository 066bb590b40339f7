package tokenspec

import (
	"fmt"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
)

// Defaults of spec.rotation.retire. Each is cut down to what the rest of the spec leaves room for.
const (
	defaultMinOverlap  = 10 * time.Minute
	defaultQuietPeriod = time.Hour
	defaultMaxOverlap  = 24 * time.Hour
)

// RequestedGrants holds what a token asks for, by its own spec or taken over from another token.
type RequestedGrants struct {
	Client       string
	User         string // empty: it acts for the client alone
	Roles        []string
	Permissions  []string
	SourceRanges []string
}

// References holds the objects that a token depends on, and the facts that follow from them.
type References struct {
	Requested           RequestedGrants
	Client              *v1alpha1.Client // nil: there is no Client of that name
	user                *v1alpha1.User   // nil: the spec names no user, or there is no User of that name
	DeliveredInResponse bool             // the token is delivered in a response of the HTTP API
	namespaceLabels     map[string]string
	refusal             *plan.Refusal // a reference could not be resolved
	QuotaRefusal        *plan.Refusal // the quota of its client has no room for the token
}

// Spec holds the desired state that a spec and its references ask for.
type Spec struct {
	plan.Desired
	Requested RequestedGrants
	Kind      token.Kind // of its versions; 0: unknown now
	// IsEntitled is false where the client grants nothing to the namespace, or the user does not
	// list it.
	IsEntitled   bool
	HasQuota     bool          // it counts against the quota
	QuotaRefusal *plan.Refusal // why it does not; nil: it does, or the quota was not asked
	Secret       secretTemplate
}

// Build builds the desired state from a spec and its references. An obstacle becomes a Refusal: the
// first that is found, from the widest to the narrowest. Build reads no clock and no cluster.
func Build(at *v1alpha1.ApplicationToken, s References) Spec {
	w := Spec{Requested: s.Requested, Kind: kindFor(s.Requested), QuotaRefusal: s.QuotaRefusal}
	w.State = map[v1alpha1.TokenState]plan.State{
		v1alpha1.TokenSuspended: plan.Suspended,
		v1alpha1.TokenRevoked:   plan.Revoked,
	}[at.Spec.State]
	w.Spread = rotationSpread(at)
	w.DeliveredInResponse, w.DeclaredAt = s.DeliveredInResponse, at.CreationTimestamp.Time
	setRotationRequests(at, &w.Desired)

	var problems []plan.Refusal
	refuse := func(reason, format string, args ...any) {
		problems = append(problems, plan.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)})
	}
	if s.Requested.User != "" {
		w.Grants, w.IsEntitled = userGrants(at, s, refuse)
	}
	if s.user != nil {
		w.User = plan.User{UID: string(s.user.UID), CreatedAt: s.user.CreationTimestamp.Time}
	}
	if s.refusal != nil {
		problems = append(problems, *s.refusal)
	}
	if s.refusal == nil && !s.isGranted(at, s.Client) {
		// The message is the same for a client that does not exist, is suspended or grants only
		// other namespaces: a tenant learns nothing about clients that were not granted to it.
		refuse(v1alpha1.ReasonNamespaceNotGranted, "Namespace %s may not use client %q: it does not exist, or grants nothing to this namespace; correct the name, or ask the platform team to add the namespace to spec.grants of the client", at.Namespace, s.Requested.Client)
	}
	if at.Spec.Delivery == v1alpha1.DeliveryResponse {
		checkResponseDelivery(at, s, refuse)
	}
	if s.Client != nil {
		if s.Client.Spec.State == v1alpha1.StateSuspended {
			refuse(v1alpha1.ReasonClientSuspended, "Client %s is suspended, and every token of it is rejected; its platform team can set its spec.state to Active", s.Client.Name)
		}
		if s.Requested.User == "" {
			w.Grants, w.IsEntitled = clientGrants(at, s, refuse)
		}
		checkTokenPolicy(at, s, refuse)
		w.SelfRotationForbidden = s.Client.Spec.Tokens.SelfRotation == v1alpha1.SelfRotationForbid
	}
	if w.Grants != nil {
		w.Grants.Suspended = !w.IsEntitled || s.QuotaRefusal != nil || at.Spec.State == v1alpha1.TokenSuspended
	}
	setRotation(at, &w.Desired, refuse)
	checkRotationInterval(s.Client, &w.Desired, refuse)
	w.Secret = secretTemplateOf(at, s.Client, refuse)
	if len(problems) > 0 {
		w.Refused = problems[0]
	}
	return w
}

type refuseFunc func(reason, format string, args ...any)

// defaultMinRotationInterval is the default minimum interval between rotations by interval,
// calendar or lifetime. Each rotation costs six writes and wakes every consumer, so that a tenant
// could slow others down.
const defaultMinRotationInterval = 10 * time.Minute

// requestedBySpec returns what a token with a clientRef asks for.
func requestedBySpec(at *v1alpha1.ApplicationToken) RequestedGrants {
	return RequestedGrants{
		Client:       string(at.Spec.ClientRef.Name),
		Roles:        SortedStrings(at.Spec.Roles),
		Permissions:  SortedStrings(at.Spec.Permissions),
		SourceRanges: SortedStrings(at.Spec.SourceRanges),
	}
}

// secretTemplate holds the Secret that a spec asks for.
type secretTemplate struct {
	Name        string
	templates   render.Templates
	labels      map[string]string
	annotations map[string]string
	RefusedKeys []string // labels and annotations that the spec must not set, as annotationPassedOn lists them
}
