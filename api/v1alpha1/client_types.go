package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Client is a tenant: somebody on whose behalf tokens are issued. It sets the ceiling, which namespaces may draw from
// it, and the policy that every token of it obeys.
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
	// spec is what the platform team grants.
	// +optional
	Spec ClientSpec `json:"spec,omitzero"`
	// status is what the operator sees.
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

// ClientSpec is what the platform team grants to a client.
type ClientSpec struct {
	// displayName is how people call the client.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// accountID is the integer by which some login protocols name the client. No two Clients share one.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	AccountID *int64 `json:"accountID,omitempty"`

	// state Suspended stops every credential of this client, at every door, at once. Defaults to Active.
	// +optional
	// +kubebuilder:default=Active
	State State `json:"state,omitempty"`

	// roles are the ceiling: no credential of this client ever carries more than these.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Roles []Role `json:"roles,omitempty"`

	// grants say which namespaces may draw which roles. A namespace without a grant has no ApplicationToken of this client.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Grants []Grant `json:"grants,omitempty"`

	// tokens is what every token of this client must obey.
	// +optional
	Tokens TokenPolicy `json:"tokens,omitzero"`

	// logins is what every login at this client must obey.
	// +optional
	Logins LoginPolicy `json:"logins,omitzero"`
}

// Role is a named set of permissions.
type Role struct {
	// name of the role, unique within the client. It may hold a tilde, as in client~primary.
	// +required
	Name RoleName `json:"name"`
	// permissions that the role carries. Empty: the role is a name alone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`
}

// Grant lets namespaces draw roles.
type Grant struct {
	// namespaces that may draw the roles.
	// +required
	Namespaces NamespaceSelection `json:"namespaces,omitzero"`
	// roles that may be drawn; each is one of the client's roles.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// maxCount limits how many ApplicationTokens of each selected namespace are served at this client, the oldest first. Where
	// several grants select a namespace, the largest limit counts; a grant without one sets none and lifts none. Absent: only
	// the limits of spec.tokens apply.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxCount *int32 `json:"maxCount,omitempty"`
}

// NamespaceSelection names namespaces, or selects them by their labels.
// +kubebuilder:validation:XValidation:rule="has(self.names) != has(self.selector)",message="give exactly one of names and selector"
type NamespaceSelection struct {
	// names of the namespaces.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace; for all namespaces, leave names out and give an empty selector"
	Names []string `json:"names,omitempty"`
	// selector matches the labels of namespaces. An empty selector matches every namespace.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// NonExpiring says whether a token may be declared without a lifetime.
// +kubebuilder:validation:Enum=Allow;WithRotation;Forbid
type NonExpiring string

const (
	// NonExpiringAllow permits tokens without a lifetime.
	NonExpiringAllow NonExpiring = "Allow"
	// NonExpiringWithRotation permits them where rotation.every or rotation.schedule is set.
	NonExpiringWithRotation NonExpiring = "WithRotation"
	// NonExpiringForbid wants a lifetime on every token.
	NonExpiringForbid NonExpiring = "Forbid"
)

// SelfRotation sets whether the holder of a token may rotate it.
// +kubebuilder:validation:Enum=Allow;Forbid
type SelfRotation string

const (
	// SelfRotationAllow permits it, at most once in each minOverlap.
	SelfRotationAllow SelfRotation = "Allow"
	// SelfRotationForbid leaves rotation to administrators and to spec.rotation.
	SelfRotationForbid SelfRotation = "Forbid"
)

// TokenPolicy is what every token of a client must obey.
type TokenPolicy struct {
	// maxLifetime is the longest lifetime that a token may ask for. Absent: no limit. Tokens without a lifetime are the
	// matter of nonExpiring.
	// +optional
	MaxLifetime PositiveDuration `json:"maxLifetime,omitempty"`
	// nonExpiring says whether a token may do without a lifetime. Defaults to Allow.
	// +optional
	// +kubebuilder:default=Allow
	NonExpiring NonExpiring `json:"nonExpiring,omitempty"`
	// maxCount limits how many ApplicationTokens of this client are served, the oldest first. Tokens that are already issued
	// stay when it is lowered. Defaults to 10000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxCount *int32 `json:"maxCount,omitempty"`
	// maxCountPerUser limits how many ApplicationTokens speak for one user at this client, the oldest first. Defaults to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxCountPerUser *int32 `json:"maxCountPerUser,omitempty"`
	// minRotationInterval is the shortest interval at which tokens of this client rotate by rotation.every, by
	// rotation.schedule, or because their lifetime is about to end. A token that asks for more is refused. Defaults to 10m.
	// +optional
	MinRotationInterval PositiveDuration `json:"minRotationInterval,omitempty"`
	// selfRotation Forbid refuses the rotation of a token by its holder; administrators still rotate it. Defaults to Allow.
	// +optional
	// +kubebuilder:default=Allow
	SelfRotation SelfRotation `json:"selfRotation,omitempty"`
	// allowedSecretMetadata lists keys of labels and annotations that spec.secret may set although other controllers act on
	// them, such as argocd.argoproj.io/secret-type. A key that ends in a slash allows every key of that domain. Keys of
	// Kubernetes itself, those of kubernetes.io and k8s.io without a further label in front, stay refused.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AllowedSecretMetadata []string `json:"allowedSecretMetadata,omitempty"`
	// sourceRanges are the addresses from which tokens of this client are accepted. Empty: from everywhere.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SourceRanges []SourceRange `json:"sourceRanges,omitempty"`
}

// OpenTokens says which open tokens may be had: bearer tokens tied to no session and no address.
// +kubebuilder:validation:Enum=Allow;Expiring;Forbid
type OpenTokens string

const (
	// OpenTokensAllow permits open tokens, those without an end included.
	OpenTokensAllow OpenTokens = "Allow"
	// OpenTokensExpiring permits open tokens that end.
	OpenTokensExpiring OpenTokens = "Expiring"
	// OpenTokensForbid permits none.
	OpenTokensForbid OpenTokens = "Forbid"
)

// LoginPolicy is what every login at a client must obey.
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
	// idleTimeout ends a session token that was not used for so long. Defaults to 30m.
	// +optional
	IdleTimeout PositiveDuration `json:"idleTimeout,omitempty"`
	// maxSessionsPerUser is how many logins a user has at once; the oldest ends for a new one. Defaults to 20.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxSessionsPerUser *int32 `json:"maxSessionsPerUser,omitempty"`
	// openTokens says which open tokens may be had. Defaults to Expiring.
	// +optional
	OpenTokens OpenTokens `json:"openTokens,omitempty"`
	// maxOpenLifetime is the longest lifetime of an open token. Defaults to 24h; where openTokens is Allow, to no limit.
	// +optional
	MaxOpenLifetime PositiveDuration `json:"maxOpenLifetime,omitempty"`
	// maxSessionLifetime is how long after the password was presented a login ends, however often it is refreshed or changes
	// its account. It bounds login, refresh and session tokens. Defaults to 720h.
	// +optional
	MaxSessionLifetime PositiveDuration `json:"maxSessionLifetime,omitempty"`
}

// ClientStatus is what the operator sees of a client.
type ClientStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions of the client; Ready sums up.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// accountID is the account ID that the client has. Absent while another Client has the one that spec.accountID asks for.
	// Whoever has it first keeps it.
	// +optional
	AccountID *int64 `json:"accountID,omitempty"`
	// tokens is the number of ApplicationTokens that name this client.
	// +optional
	Tokens int32 `json:"tokens"`
	// tokensReady is how many of them are Ready.
	// +optional
	TokensReady int32 `json:"tokensReady"`
	// tokensOverCeiling is how many of them ask for more than they may have.
	// +optional
	TokensOverCeiling int32 `json:"tokensOverCeiling"`
	// overCeiling names those tokens, the first 20 in alphabetical order, as namespace/name.
	// +optional
	// +listType=set
	OverCeiling []string `json:"overCeiling,omitempty"`
}
