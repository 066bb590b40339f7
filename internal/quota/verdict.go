package quota

// Limits are the limits of one client.
type Limits struct {
	Client     int            // tokens of the client
	User       int            // tokens of each of its users
	Namespaces map[string]int // tokens of each namespace; nil: no limits. A namespace that is absent may have none.
}

// Scope is the subject of a limit.
type Scope int

// The scopes, from the widest to the narrowest.
const (
	OfClient Scope = iota
	OfNamespace
	OfUser
)

// Verdict is the decision on a claim.
type Verdict struct {
	Granted bool
	Scope   Scope // of the limit that is reached, if not granted
	Limit   int
	Before  int // tokens that come before this one
}

// usage is how many tokens come before another one: of its client, its namespace and its user.
type usage struct{ client, namespace, user int }

// evaluate compares usage with the limits. All decisions use it.
func evaluate(c Claim, u usage, l Limits) Verdict {
	if u.client >= l.Client {
		return Verdict{Scope: OfClient, Limit: l.Client, Before: u.client}
	}
	if limit := l.Namespaces[c.Namespace]; l.Namespaces != nil && c.Namespace != "" && u.namespace >= limit {
		return Verdict{Scope: OfNamespace, Limit: limit, Before: u.namespace}
	}
	if c.User != "" && u.user >= l.User {
		return Verdict{Scope: OfUser, Limit: l.User, Before: u.user}
	}
	return Verdict{Granted: true}
}
