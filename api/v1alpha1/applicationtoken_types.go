package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ApplicationToken is a long-lived credential that one program presents to another. The operator
// issues it into a Secret, records its digest in a TokenRecord, and rotates it by cloning: the
// predecessor stays valid for an overlap.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=at;apptoken,categories=apptokens
// +kubebuilder:selectablefield:JSONPath=`.spec.clientRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Client",type=string,JSONPath=`.status.client`
// +kubebuilder:printcolumn:name="Hint",type=string,JSONPath=`.status.current.hint`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.status.secretName`,priority=1
// +kubebuilder:printcolumn:name="Rotations",type=integer,JSONPath=`.status.rotations`
// +kubebuilder:printcolumn:name="Next Rotation",type=string,JSONPath=`.status.nextRotation`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.current.expiresAt`,priority=1
// +kubebuilder:printcolumn:name="Last Used",type=date,JSONPath=`.status.current.lastUsedAt`
// +kubebuilder:printcolumn:name="Used From",type=string,JSONPath=`.status.current.lastUsedFrom`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",fieldPath=".metadata",message="an ApplicationToken's name may have at most 63 characters, since it becomes a label"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.cloneFrom) || self.spec.cloneFrom.name != self.metadata.name",fieldPath=".spec.cloneFrom",message="must not name this token; name another one of this namespace"
type ApplicationToken struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec is the desired state of the token.
	// +required
	Spec ApplicationTokenSpec `json:"spec,omitzero"`
	// status is the observed state of the token.
	// +optional
	Status ApplicationTokenStatus `json:"status,omitzero"`
}

// ApplicationTokenList is a list of ApplicationTokens.
// +kubebuilder:object:root=true
type ApplicationTokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ApplicationToken `json:"items"`
}

// TokenState is the desired state of an ApplicationToken as a whole.
// +kubebuilder:validation:Enum=Active;Suspended;Revoked
type TokenState string

const (
	// TokenActive accepts the token.
	TokenActive TokenState = "Active"
	// TokenSuspended rejects the token until the state is Active again. Its current version and its
	// Secret stay.
	TokenSuspended TokenState = "Suspended"
	// TokenRevoked ends every version of the token for good and deletes its Secret.
	TokenRevoked TokenState = "Revoked"
)

// Delivery is the way in which the plaintext reaches the consumer of the token.
// +kubebuilder:validation:Enum=Secret;Response
type Delivery string

const (
	// DeliverySecret writes the token to a Secret.
	DeliverySecret Delivery = "Secret"
	// DeliveryResponse returns the token once, in the response of the HTTP API that made it.
	DeliveryResponse Delivery = "Response"
)

// ApplicationTokenSpec is the desired state of an ApplicationToken.
// +kubebuilder:validation:XValidation:rule="[has(self.clientRef), has(self.userRef), has(self.cloneFrom)].exists_one(x, x)",message="set exactly one of clientRef, userRef and cloneFrom"
// +kubebuilder:validation:XValidation:rule="!has(self.cloneFrom) || (!has(self.roles) && !has(self.permissions) && !has(self.sourceRanges))",message="with cloneFrom, the roles, permissions and sourceRanges are those of the source; remove them"
// +kubebuilder:validation:XValidation:rule="!has(self.userRef) || (!has(self.roles) && !has(self.permissions))",message="a token of a user has what the user has; remove roles and permissions"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.state) || oldSelf.state != 'Revoked' || self.state == 'Revoked'",fieldPath=".state",message="a revoked token stays revoked; delete it and declare a new one"
type ApplicationTokenSpec struct {
	// clientRef names the Client that the token acts for.
	// +optional
	ClientRef *Reference `json:"clientRef,omitempty"`
	// userRef names the User that the token acts for. The token has the permissions that the User
	// has at each verification.
	// +optional
	UserRef *UserReference `json:"userRef,omitempty"`
	// cloneFrom names an ApplicationToken of this namespace. The new token copies its grants at the
	// first issue. From then on the two tokens are independent.
	// +optional
	CloneFrom *Reference `json:"cloneFrom,omitempty"`

	// roles of the token, out of those that the client grants to this namespace. The token has the
	// listed roles and no others.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// permissions of the token besides its roles. Each must be held by one of the roles that the
	// client grants to this namespace.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`

	// state Suspended rejects the token until it is Active again. Revoked ends it for good.
	// Defaults to Active.
	// +optional
	// +kubebuilder:default=Active
	State TokenState `json:"state,omitempty"`

	// lifetime of each version of the token. If absent, versions do not expire.
	// +optional
	Lifetime PositiveDuration `json:"lifetime,omitempty"`

	// rotation sets when a new version replaces the current one. If absent, the token is not
	// rotated on a schedule.
	// +optional
	Rotation Rotation `json:"rotation,omitzero"`

	// sourceRanges are the addresses from which the token is accepted. If empty, it is accepted
	// from everywhere.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SourceRanges []SourceRange `json:"sourceRanges,omitempty"`

	// delivery Secret writes the token to a Secret. Response is for tokens that are made through
	// the HTTP API. Defaults to Secret.
	// +optional
	// +kubebuilder:default=Secret
	Delivery Delivery `json:"delivery,omitempty"`

	// secret describes the Secret that holds the token.
	// +optional
	Secret SecretTemplate `json:"secret,omitzero"`

	// restart names the consumers that read the token only at their start. Each is restarted once
	// per version.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Restart []RestartTarget `json:"restart,omitempty"`
}

// Rotation sets when a new version replaces the current one, and when its predecessor is retired.
// +kubebuilder:validation:XValidation:rule="!(has(self.every) && has(self.schedule))",message="set every or schedule, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.timeZone) || has(self.schedule)",fieldPath=".timeZone",message="requires schedule; remove it, or set schedule"
// +kubebuilder:validation:XValidation:rule="!has(self.every) || !has(self.retire) || !has(self.retire.maxOverlap) || [self.every, self.retire.maxOverlap].exists(d, !d.matches('^([0-9]{1,6}h|[0-9]{1,7}m|[0-9]{1,9}s)+$')) || duration(self.retire.maxOverlap) <= duration(self.every)",fieldPath=".retire.maxOverlap",message="must not be longer than every; shorten the overlap or lengthen the interval"
type Rotation struct {
	// every is the interval after which a version is replaced. Rotations are spread: each comes
	// later by up to a tenth of the interval, at most one minute.
	// +optional
	Every PositiveDuration `json:"every,omitempty"`
	// schedule rotates the token at the instants of a cron expression of five fields, such as
	// "0 3 * * 1". It may also be @hourly, @daily, @weekly, @monthly or @yearly. Rotations are
	// spread: each comes up to one minute later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule,omitempty"`
	// timeZone of the schedule, such as Europe/Zurich. Defaults to UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`
	TimeZone string `json:"timeZone,omitempty"`
	// trigger rotates the token once, now, whenever its value changes. Any text is valid: a number,
	// a date, a ticket.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Trigger string `json:"trigger,omitempty"`
	// retire sets when a predecessor is retired.
	// +optional
	Retire *Retire `json:"retire,omitempty"`
}

// RetireWhen is the rule that ends a predecessor.
// +kubebuilder:validation:Enum=Unused;AfterOverlap
type RetireWhen string

const (
	// RetireUnused ends a predecessor once its successor is used and it is out of use itself, and
	// at maxOverlap in any case.
	RetireUnused RetireWhen = "Unused"
	// RetireAfterOverlap ends a predecessor at maxOverlap.
	RetireAfterOverlap RetireWhen = "AfterOverlap"
)

// Retire sets when a predecessor is retired. At most three predecessors are kept, whatever it sets.
// +kubebuilder:validation:XValidation:rule="!has(self.minOverlap) || !has(self.maxOverlap) || [self.minOverlap, self.maxOverlap].exists(d, !d.matches('^([0-9]{1,6}h|[0-9]{1,7}m|[0-9]{1,9}s)+$')) || duration(self.minOverlap) <= duration(self.maxOverlap)",fieldPath=".minOverlap",message="must not be longer than maxOverlap; shorten the one or lengthen the other"
type Retire struct {
	// when sets what ends a predecessor. With Unused, it ends once minOverlap has passed, a
	// successor has been used, and the predecessor was unused for quietPeriod since the rotation.
	// Without that evidence it stays until maxOverlap. With AfterOverlap, it ends at maxOverlap.
	// Defaults to Unused.
	// +optional
	// +kubebuilder:default=Unused
	When RetireWhen `json:"when,omitempty"`
	// minOverlap is how long a predecessor stays valid in any case. Defaults to 10m, or to
	// maxOverlap where that is shorter.
	// +optional
	MinOverlap Duration `json:"minOverlap,omitempty"`
	// quietPeriod is how long a predecessor must be unused before it may end, counted from the
	// rotation at the earliest. Defaults to 1h.
	// +optional
	QuietPeriod Duration `json:"quietPeriod,omitempty"`
	// maxOverlap is how long a predecessor stays valid at most, used or not. Defaults to 24h, or to
	// every where that is shorter.
	// +optional
	MaxOverlap PositiveDuration `json:"maxOverlap,omitempty"`
}

// SecretTemplate describes the Secret that holds the token.
type SecretTemplate struct {
	// name of the Secret, in the token's namespace. Defaults to the token's name.
	// +optional
	Name ObjectName `json:"name,omitempty"`
	// data holds a template for each key of the Secret. Templates may use the values {{ .Token }},
	// {{ .Hint }}, {{ .Client }}, {{ .Name }}, {{ .Namespace }}, {{ .Roles }}, {{ .Permissions }},
	// {{ .Version }}, {{ .IssuedAt }}, {{ .ExpiresAt }}. Defaults to the single key token with
	// {{ .Token }}.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[-._a-zA-Z0-9]{1,253}$') && !k.matches('^[.]([.].*)?$'))",message="each key must be one that a Secret can have: at most 253 letters, digits, -, _ and ."
	Data map[string]Template `json:"data,omitempty"`
	// labels of the Secret, besides those of the operator.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="each key must be one that a label can have, such as team or example.com/team"
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// annotations of the Secret, besides those of the operator.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="each key must be one that an annotation can have, such as team or example.com/team"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`
}

// Template is a text in the syntax of Go's text/template.
// +kubebuilder:validation:MaxLength=4096
type Template string

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="must be the value of a label: letters, digits, -, _ and ., with a letter or digit at both ends"
type LabelValue string

// AnnotationValue is the value of an annotation.
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// RestartKind is a kind of workload that can be restarted.
// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
type RestartKind string

const (
	// RestartDeployment restarts a Deployment.
	RestartDeployment RestartKind = "Deployment"
	// RestartStatefulSet restarts a StatefulSet.
	RestartStatefulSet RestartKind = "StatefulSet"
	// RestartDaemonSet restarts a DaemonSet.
	RestartDaemonSet RestartKind = "DaemonSet"
)

// RestartTarget is a workload in the token's namespace.
type RestartTarget struct {
	// kind of the workload.
	// +required
	Kind RestartKind `json:"kind,omitempty"`
	// name of the workload.
	// +required
	Name ObjectName `json:"name,omitempty"`
}

// ApplicationTokenStatus is the observed state of an ApplicationToken.
type ApplicationTokenStatus struct {
	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions of the token. Ready summarizes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// client that the token acts for. For a token of a user it is the account, which stays the same
	// once the token is issued.
	// +optional
	Client string `json:"client,omitempty"`
	// user that the token acts for. If empty, the token acts for the client alone.
	// +optional
	User string `json:"user,omitempty"`
	// cloned holds the grants that were copied from the token that cloneFrom names.
	// +optional
	Cloned *ClonedGrants `json:"cloned,omitempty"`
	// current is the version in the Secret, or the version that was delivered in a response.
	// +optional
	Current *CurrentVersion `json:"current,omitempty"`
	// predecessors are the earlier versions that are still valid, newest first.
	// +optional
	// +listType=atomic
	Predecessors []PredecessorVersion `json:"predecessors,omitempty"`
	// nextRotation is when the next version is due.
	// +optional
	NextRotation *metav1.Time `json:"nextRotation,omitempty"`
	// rotations counts the versions that replaced another version.
	// +optional
	Rotations int64 `json:"rotations"`
	// secretName is the Secret that holds the token.
	// +optional
	SecretName string `json:"secretName,omitempty"`
	// restarted is the record of the version for which the restart targets were last restarted.
	// +optional
	Restarted string `json:"restarted,omitempty"`
}

// ClonedGrants holds the grants that a token copied from its source. They stay when the source
// changes or is deleted.
type ClonedGrants struct {
	// from is the name of the source.
	// +required
	From string `json:"from"`
	// client that the source acted for.
	// +required
	Client string `json:"client"`
	// roles of the source.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// permissions of the source besides its roles.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`
	// sourceRanges of the source.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SourceRanges []SourceRange `json:"sourceRanges,omitempty"`
}

// CurrentVersion is the version in the Secret, or the version that was delivered in a response.
type CurrentVersion struct {
	// record is the name of its TokenRecord.
	// +required
	Record string `json:"record"`
	// hint is the part of the version that may be shown: an ellipsis and four of its characters.
	// +required
	Hint string `json:"hint"`
	// issuedAt is when the version was issued.
	// +required
	IssuedAt metav1.Time `json:"issuedAt"`
	// expiresAt is the first instant at which the version is rejected. If absent, it does not
	// expire.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// lastUsedAt is when the version was last accepted, as far as recorded. It lags behind use.
	// +optional
	LastUsedAt *metav1.Time `json:"lastUsedAt,omitempty"`
	// lastUsedFrom is the address from which the version was last accepted.
	// +optional
	LastUsedFrom string `json:"lastUsedFrom,omitempty"`
}

// PredecessorVersion is an earlier version that has a successor and is still valid.
type PredecessorVersion struct {
	// record is the name of its TokenRecord.
	// +required
	Record string `json:"record"`
	// hint is the part of the version that may be shown: an ellipsis and four of its characters.
	// +required
	Hint string `json:"hint"`
	// retiresAt is when the version ends at the latest.
	// +optional
	RetiresAt *metav1.Time `json:"retiresAt,omitempty"`
	// lastUsedAt is when the version was last accepted, as far as recorded. It lags behind use.
	// +optional
	LastUsedAt *metav1.Time `json:"lastUsedAt,omitempty"`
	// lastUsedFrom is the address from which the version was last accepted.
	// +optional
	LastUsedFrom string `json:"lastUsedFrom,omitempty"`
}
