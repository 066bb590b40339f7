package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Client is a tenant on whose behalf tokens are issued. It sets the ceiling of roles, the
// namespaces that may use them, and the policy for all of its tokens.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=atclient;apptokenclient,categories=apptokens
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Tokens",type=integer,JSONPath=`.status.tokens`
// +kubebuilder:printcolumn:name="Tokens Ready",type=integer,JSONPath=`.status.tokensReady`
// +kubebuilder:printcolumn:name="Over Ceiling",type=integer,JSONPath=`.status.tokensOverCeiling`
// +kubebuilder:printcolumn:name="Display Name",type=string,JSONPath=`.spec.displayName`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",fieldPath=".metadata",message="a Client's name may have at most 63 characters, since it becomes part of group names and labels"
type Client struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec holds what the platform team grants to the client.
	// +optional
	Spec ClientSpec `json:"spec,omitzero"`
	// status is the observed state of the client.
	// +optional
	Status ClientStatus `json:"status,omitzero"`
}

// ClientList is a list of Clients.
// +kubebuilder:object:root=true
type ClientList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Client `json:"items"`
}

// ClientSpec holds what the platform team grants to a client.
type ClientSpec struct {
	// displayName is a readable name of the client.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// accountID is the integer by which some login protocols name the client. No two Clients share
	// one.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	AccountID *int64 `json:"accountID,omitempty"`

	// state Suspended rejects every credential of this client, at every endpoint, at once. Defaults
	// to Active.
	// +optional
	// +kubebuilder:default=Active
	State State `json:"state,omitempty"`

	// roles are the ceiling: no credential of this client ever carries more than these.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Roles []Role `json:"roles,omitempty"`

	// grants set which namespaces may use which roles. A namespace without a grant cannot have an
	// ApplicationToken of this client.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Grants []Grant `json:"grants,omitempty"`

	// tokens is the policy for every token of this client.
	// +optional
	Tokens TokenPolicy `json:"tokens,omitzero"`

	// logins is the policy for every login at this client.
	// +optional
	Logins LoginPolicy `json:"logins,omitzero"`
}

// Role is a named set of permissions.
type Role struct {
	// name of the role, unique within the client. It may contain a tilde, as in client~primary.
	// +required
	Name RoleName `json:"name"`
	// permissions that the role carries. If empty, the role is only a name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`
}

// Grant allows namespaces to use roles.
type Grant struct {
	// namespaces that may use the roles.
	// +required
	Namespaces NamespaceSelection `json:"namespaces,omitzero"`
	// roles that may be used. Each is one of the client's roles.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// maxCount limits how many ApplicationTokens of each selected namespace are served at this
	// client, oldest first. If several grants select a namespace, the largest limit counts. A grant
	// without a limit neither sets nor lifts one. If absent, only the limits of spec.tokens apply.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxCount *int32 `json:"maxCount,omitempty"`
}

// NamespaceSelection names namespaces, or selects them by their labels.
// +kubebuilder:validation:XValidation:rule="has(self.names) != has(self.selector)",message="set exactly one of names and selector"
type NamespaceSelection struct {
	// names of the namespaces.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace; for all namespaces, remove names and set an empty selector"
	Names []string `json:"names,omitempty"`
	// selector matches the labels of namespaces. An empty selector matches every namespace.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// NonExpiring sets whether a token may be declared without a lifetime.
// +kubebuilder:validation:Enum=Allow;WithRotation;Forbid
type NonExpiring string

const (
	// NonExpiringAllow permits tokens without a lifetime.
	NonExpiringAllow NonExpiring = "Allow"
	// NonExpiringWithRotation permits tokens without a lifetime where rotation.every or
	// rotation.schedule is set.
	NonExpiringWithRotation NonExpiring = "WithRotation"
	// NonExpiringForbid requires a lifetime on every token.
	NonExpiringForbid NonExpiring = "Forbid"
)

// SelfRotation sets whether the holder of a token may rotate it.
// +kubebuilder:validation:Enum=Allow;Forbid
type SelfRotation string

const (
	// SelfRotationAllow permits it, at most once in each minOverlap.
	SelfRotationAllow SelfRotation = "Allow"
	// SelfRotationForbid permits rotation only by administrators and by spec.rotation.
	SelfRotationForbid SelfRotation = "Forbid"
)

// TokenPolicy is the policy for every token of a client.
type TokenPolicy struct {
	// maxLifetime is the longest lifetime that a token may ask for. If absent, there is no limit.
	// For tokens without a lifetime, see nonExpiring.
	// +optional
	MaxLifetime PositiveDuration `json:"maxLifetime,omitempty"`
	// nonExpiring sets whether a token may be declared without a lifetime. Defaults to Allow.
	// +optional
	// +kubebuilder:default=Allow
	NonExpiring NonExpiring `json:"nonExpiring,omitempty"`
	// maxCount limits how many ApplicationTokens of this client are served, oldest first. Tokens
	// that are already issued stay when it is lowered. Defaults to 10000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxCount *int32 `json:"maxCount,omitempty"`
	// maxCountPerUser limits how many ApplicationTokens act for one user at this client, oldest
	// first. Defaults to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxCountPerUser *int32 `json:"maxCountPerUser,omitempty"`
	// minRotationInterval is the shortest interval at which tokens of this client rotate by
	// rotation.every, by rotation.schedule, or because their lifetime is about to end. A token that
	// asks for a shorter interval is refused. Defaults to 10m.
	// +optional
	MinRotationInterval PositiveDuration `json:"minRotationInterval,omitempty"`
	// selfRotation Forbid rejects the rotation of a token by its holder. Administrators can still
	// rotate it. Defaults to Allow.
	// +optional
	// +kubebuilder:default=Allow
	SelfRotation SelfRotation `json:"selfRotation,omitempty"`
	// allowedSecretMetadata lists keys of labels and annotations that spec.secret may set although
	// other controllers act on them, such as argocd.argoproj.io/secret-type. A key that ends in a
	// slash allows every key of that domain. Keys of Kubernetes itself, which are those of
	// kubernetes.io and k8s.io without a further label in front, are always refused.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AllowedSecretMetadata []string `json:"allowedSecretMetadata,omitempty"`
	// sourceRanges are the addresses from which tokens of this client are accepted. If empty, they
	// are accepted from everywhere.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SourceRanges []SourceRange `json:"sourceRanges,omitempty"`
}

// OpenTokens sets which open tokens may be issued. An open token is a bearer token that is tied to
// no session and no address.
// +kubebuilder:validation:Enum=Allow;Expiring;Forbid
type OpenTokens string

const (
	// OpenTokensAllow permits open tokens, including those without an end.
	OpenTokensAllow OpenTokens = "Allow"
	// OpenTokensExpiring permits open tokens that expire.
	OpenTokensExpiring OpenTokens = "Expiring"
	// OpenTokensForbid permits no open tokens.
	OpenTokensForbid OpenTokens = "Forbid"
)

// BasicAuthentication sets whether verification endpoints accept HTTP Basic authentication, and
// whether the management API accepts application tokens as the password.
// +kubebuilder:validation:Enum=Allow;Forbid
type BasicAuthentication string

const (
	// BasicAllow permits both.
	BasicAllow BasicAuthentication = "Allow"
	// BasicForbid permits neither.
	BasicForbid BasicAuthentication = "Forbid"
)

// LoginPolicy is the policy for every login at a client.
type LoginPolicy struct {
	// lifetime of a login token. Defaults to 1h.
	// +optional
	Lifetime PositiveDuration `json:"lifetime,omitempty"`
	// rememberMeLifetime is the lifetime of a login that asked to be remembered. Defaults to 336h.
	// +optional
	RememberMeLifetime PositiveDuration `json:"rememberMeLifetime,omitempty"`
	// refreshLifetime is how long after its issue a refresh token is accepted. Defaults to 720h.
	// +optional
	RefreshLifetime PositiveDuration `json:"refreshLifetime,omitempty"`
	// idleTimeout ends a session token that was unused for this long. Defaults to 30m.
	// +optional
	IdleTimeout PositiveDuration `json:"idleTimeout,omitempty"`
	// maxSessionsPerUser is the maximum number of sessions of a user: of login tokens with their
	// refresh tokens. A further login ends the oldest one. Each kind of login has a maximum of its
	// own. spec.logins of a User overrides all three for that user. Defaults to 20.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxSessionsPerUser *int32 `json:"maxSessionsPerUser,omitempty"`
	// maxSessionTokensPerUser is the maximum number of session tokens of a user. A further one ends
	// the one that was unused for the longest time. Defaults to 1000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxSessionTokensPerUser *int32 `json:"maxSessionTokensPerUser,omitempty"`
	// maxOpenTokensPerUser is the maximum number of open tokens of a user. A further one ends the
	// oldest one. Defaults to 20.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxOpenTokensPerUser *int32 `json:"maxOpenTokensPerUser,omitempty"`
	// openTokens sets which open tokens may be issued. Defaults to Expiring.
	// +optional
	OpenTokens OpenTokens `json:"openTokens,omitempty"`
	// maxOpenLifetime is the longest lifetime of an open token. Defaults to 24h, or to no limit
	// where openTokens is Allow.
	// +optional
	MaxOpenLifetime PositiveDuration `json:"maxOpenLifetime,omitempty"`
	// maxSessionLifetime is how long after the password was presented a login ends, however often
	// it is refreshed or changes its account. It bounds login, refresh and session tokens. Defaults
	// to 720h.
	// +optional
	MaxSessionLifetime PositiveDuration `json:"maxSessionLifetime,omitempty"`
	// basic sets whether verification endpoints accept a username and a password in place of a
	// token, by the schemes Basic and Integrator. It also sets whether an application token of this
	// client is accepted as the password, there and in the management API. Defaults to Forbid.
	// +optional
	Basic BasicAuthentication `json:"basic,omitempty"`
}

// ClientStatus is the observed state of a client.
type ClientStatus struct {
	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions of the client. Ready summarizes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// accountID is the account ID that the client has. It is absent while another Client has the
	// one that spec.accountID asks for. The Client that had it first keeps it.
	// +optional
	AccountID *int64 `json:"accountID,omitempty"`
	// tokens is the number of ApplicationTokens that name this client.
	// +optional
	Tokens int32 `json:"tokens"`
	// tokensReady is the number of those ApplicationTokens that are Ready.
	// +optional
	TokensReady int32 `json:"tokensReady"`
	// tokensOverCeiling is the number of those ApplicationTokens that ask for more than they may
	// have.
	// +optional
	TokensOverCeiling int32 `json:"tokensOverCeiling"`
	// overCeiling names the tokens over the ceiling as namespace/name: the first 20 in alphabetical
	// order.
	// +optional
	// +listType=set
	OverCeiling []string `json:"overCeiling,omitempty"`
}
