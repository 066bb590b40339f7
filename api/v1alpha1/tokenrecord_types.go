package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TokenRecord records one valid credential: its digest, and what it is valid for. Records are in
// the operator's namespace, and only the operator writes them. Deleting a TokenRecord revokes that
// credential.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=atr;tokenrec,categories=apptokens
// +kubebuilder:selectablefield:JSONPath=`.spec.client`
// +kubebuilder:selectablefield:JSONPath=`.spec.owner.namespace`
// +kubebuilder:selectablefield:JSONPath=`.spec.owner.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.refresh.family`
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.kind`
// +kubebuilder:printcolumn:name="Client",type=string,JSONPath=`.spec.client`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.owner.namespace`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner.name`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Superseded",type=date,JSONPath=`.spec.supersededAt`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Last Used",type=date,JSONPath=`.status.lastUsedAt`
// +kubebuilder:printcolumn:name="Used From",type=string,JSONPath=`.status.lastUsedFrom`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.spec.digest) < 32 || self.metadata.name == 'at-' + self.spec.digest.substring(0, 32)",fieldPath=".metadata",message="the name must be at- and the first 32 hex digits of spec.digest"
type TokenRecord struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec describes what the credential is valid for.
	// +required
	Spec TokenRecordSpec `json:"spec,omitzero"`
	// status describes how the credential is used.
	// +optional
	Status TokenRecordStatus `json:"status,omitzero"`
}

// TokenRecordList is a list of TokenRecords.
// +kubebuilder:object:root=true
type TokenRecordList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []TokenRecord `json:"items"`
}

// RecordKind is the kind of credential of a record.
// +kubebuilder:validation:Enum=Application;Login;Session;Open;Access
type RecordKind string

const (
	// RecordKindApplication is a long-lived token of a program.
	RecordKindApplication RecordKind = "Application"
	// RecordKindLogin is a token that a user received for a password.
	RecordKindLogin RecordKind = "Login"
	// RecordKindSession is a login that is valid only with its session and from its address.
	RecordKindSession RecordKind = "Session"
	// RecordKindOpen is a login that is tied to neither session nor address.
	RecordKindOpen RecordKind = "Open"
	// RecordKindAccess is a short-lived token that a program received for its application token. It
	// is valid only while that one is, and does no more.
	RecordKindAccess RecordKind = "Access"
)

// Digest is the SHA-256 of a whole credential in lower case hexadecimal digits.
// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
// +kubebuilder:validation:MaxLength=64
type Digest string

// TokenRecordSpec describes what one credential is valid for. Its digest never changes. Server-side
// apply treats it as atomic: tracking the owner of each field would cost the API server as much
// space and time as the record itself.
// +structType=atomic
// +kubebuilder:validation:XValidation:rule="self.digest == oldSelf.digest",fieldPath=".digest",message="must not change, since it identifies the credential"
type TokenRecordSpec struct {
	// kind of the credential.
	// +required
	Kind RecordKind `json:"kind,omitempty"`
	// digest of the whole credential.
	// +required
	Digest Digest `json:"digest,omitempty"`
	// hint is the part of the credential that may be shown: an ellipsis and four of its characters.
	// +optional
	// +kubebuilder:validation:MaxLength=8
	Hint string `json:"hint,omitempty"`
	// refresh records the refresh token of a login that can be refreshed.
	// +optional
	Refresh *RefreshRecord `json:"refresh,omitempty"`
	// owner is the object that this credential belongs to.
	// +required
	Owner RecordOwner `json:"owner,omitzero"`
	// client for which the credential acts.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Client string `json:"client,omitempty"`
	// user for which the credential acts, if any.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	User string `json:"user,omitempty"`
	// userUID is the uid of that User, so that a later User of the same name does not inherit the
	// credential. Logins leave it out, because their owner is the User.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	UserUID types.UID `json:"userUID,omitempty"`
	// state Suspended rejects the credential until it is Active again. Defaults to Active.
	// +optional
	// +kubebuilder:default=Active
	State State `json:"state,omitempty"`
	// roles that the credential asks for. Verification cuts them down to the roles that the client
	// holds at that moment.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// permissions that the credential asks for besides its roles. Verification cuts them down in
	// the same way. In a login they are the scope that it was narrowed to. It then holds these
	// permissions, as far as its user holds them at that moment, and no roles. A login without
	// permissions holds everything that its user holds.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`
	// sourceRanges are the addresses from which the credential is accepted. If empty, it is
	// accepted from everywhere.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SourceRanges []SourceRange `json:"sourceRanges,omitempty"`
	// issuedAt is when the credential was issued.
	// +required
	IssuedAt metav1.Time `json:"issuedAt,omitzero"`
	// expiresAt is the first instant at which the credential is rejected. If absent, it does not
	// expire.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// session is the SHA-256 of the session id that must accompany the credential.
	// +optional
	Session Digest `json:"session,omitempty"`
	// idleTimeout ends the credential when it was unused for this long.
	// +optional
	IdleTimeout PositiveDuration `json:"idleTimeout,omitempty"`
	// version counts the credentials that the owner has had, from 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Version int64 `json:"version,omitempty"`
	// trigger is the value of rotation.trigger of the owner when the credential was issued.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Trigger string `json:"trigger,omitempty"`
	// request is a digest of the caller and of the request that asked for the credential. It
	// identifies a retry of that request. If absent, only the spec of the owner asked for the
	// credential.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Request string `json:"request,omitempty"`
	// authorizedAt is set where a holder asked for the credential. It is the issue of the version,
	// asked for by the spec or an administrator, from which this one descends. The lifetime counts
	// from there, so that no chain of rotations by holders outlives it. If absent, the lifetime
	// counts from issuedAt.
	// +optional
	AuthorizedAt *metav1.Time `json:"authorizedAt,omitempty"`
	// predecessor is the record that this one superseded.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	Predecessor string `json:"predecessor,omitempty"`
	// parent is the digest of the application token that an access token was issued for. The access
	// token is rejected as soon as that one is, and holds what that one holds at that moment. If
	// the access token has permissions, it is narrowed to them, and has no roles.
	// +optional
	Parent Digest `json:"parent,omitempty"`
	// supersededAt is when a successor took over. It is absent on the current credential, and set
	// only once.
	// +optional
	SupersededAt *metav1.Time `json:"supersededAt,omitempty"`
	// credential is a fingerprint of the password with which a login was made.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Credential string `json:"credential,omitempty"`
	// authenticatedAt is when the password of a login was presented. The login may have been
	// refreshed since. If absent, the password was presented at issuedAt.
	// +optional
	AuthenticatedAt *metav1.Time `json:"authenticatedAt,omitempty"`
	// sessionEndsAt is the first instant at which a login is rejected for good, however often it is
	// refreshed or changes its account. If absent, only logins.maxSessionLifetime of the client
	// applies.
	// +optional
	SessionEndsAt *metav1.Time `json:"sessionEndsAt,omitempty"`
}

// RefreshRecord records the refresh token of a login.
type RefreshRecord struct {
	// digest of the refresh token.
	// +required
	Digest Digest `json:"digest,omitempty"`
	// family is a digest of the part that all refresh tokens of one session share. It identifies
	// each of them after its use.
	// +required
	Family Digest `json:"family,omitempty"`
	// previousDigest is the digest of the refresh token before, which a retry may still present.
	// +optional
	PreviousDigest Digest `json:"previousDigest,omitempty"`
	// previousUntil is the first instant at which presenting the previous refresh token counts as a
	// replay.
	// +optional
	PreviousUntil *metav1.Time `json:"previousUntil,omitempty"`
	// recent are other refresh tokens that were used or replaced a moment ago. Presenting one of
	// them is neither a retry nor a replay.
	// +optional
	// +listType=map
	// +listMapKey=digest
	// +kubebuilder:validation:MaxItems=8
	Recent []RecentRefresh `json:"recent,omitempty"`
	// expiresAt is the first instant at which the refresh token is rejected.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// permissions that the refresh token keeps, if a refresh narrowed this login further. If
	// absent, the refresh token keeps the permissions of the login.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`
	// scope User lets the refresh token keep all that the user holds, although a refresh narrowed
	// this login.
	// +optional
	Scope RefreshScope `json:"scope,omitempty"`
}

// RefreshScope names the authority that a refresh token keeps.
// +kubebuilder:validation:Enum=User
type RefreshScope string

const (
	// RefreshScopeUser keeps everything that the user holds.
	RefreshScopeUser RefreshScope = "User"
)

// RecentRefresh is a refresh token that was used or replaced a moment ago.
type RecentRefresh struct {
	// digest of the refresh token.
	// +required
	Digest Digest `json:"digest,omitempty"`
	// until is the first instant at which presenting it counts as a replay.
	// +required
	Until metav1.Time `json:"until,omitzero"`
}

// RecordOwner is the object that a credential belongs to. The operator finds it by namespace and
// name. The uid prevents a later object of the same name from inheriting the credential.
type RecordOwner struct {
	// kind of the object: ApplicationToken, User, or TokenRecord. The last one is for access
	// tokens: the record of the parent owns them.
	// +required
	// +kubebuilder:validation:Enum=ApplicationToken;User;TokenRecord
	Kind string `json:"kind,omitempty"`
	// namespace of the object.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// uid of the object.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	UID types.UID `json:"uid,omitempty"`
}

// TokenRecordStatus describes how a credential is used.
// +structType=atomic
type TokenRecordStatus struct {
	// lastUsedAt is when the credential was last accepted, as far as recorded. It lags behind use.
	// +optional
	LastUsedAt *metav1.Time `json:"lastUsedAt,omitempty"`
	// lastUsedFrom is the address from which the credential was last accepted.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastUsedFrom string `json:"lastUsedFrom,omitempty"`
}
