package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TokenRecord vouches for one credential: a hash of it, and what it is good for. Records live in the operator's own
// namespace and only the operator writes them. Deleting a TokenRecord revokes that one credential.
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
// +kubebuilder:validation:XValidation:rule="size(self.spec.digest) < 32 || self.metadata.name == 'at-' + self.spec.digest.substring(0, 32)",fieldPath=".metadata",message="a TokenRecord is named at- and the first 32 hex digits of its digest"
type TokenRecord struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec is what the credential is good for.
	// +required
	Spec TokenRecordSpec `json:"spec,omitzero"`
	// status is how the credential is used.
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

// RecordKind says what sort of credential a record vouches for.
// +kubebuilder:validation:Enum=Application;Login;Session;Open
type RecordKind string

const (
	// RecordKindApplication is a token that a program holds for long.
	RecordKindApplication RecordKind = "Application"
	// RecordKindLogin is a token that somebody got for a password.
	RecordKindLogin RecordKind = "Login"
	// RecordKindSession is a login that is good with its session and from its address alone.
	RecordKindSession RecordKind = "Session"
	// RecordKindOpen is a login that is tied to neither.
	RecordKindOpen RecordKind = "Open"
)

// Digest is the SHA-256 of a whole credential in lower case hexadecimal digits.
// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
// +kubebuilder:validation:MaxLength=64
type Digest string

// TokenRecordSpec is what one credential is good for. Its digest never changes. It is one piece to whoever applies it: to
// keep account of who owns which field would take the API server as much room and time as the record itself.
// +structType=atomic
// +kubebuilder:validation:XValidation:rule="self.digest == oldSelf.digest",fieldPath=".digest",message="is what the record is about and never changes"
type TokenRecordSpec struct {
	// kind of the credential.
	// +required
	Kind RecordKind `json:"kind,omitempty"`
	// digest of the whole credential.
	// +required
	Digest Digest `json:"digest,omitempty"`
	// hint is what people may see of the credential: an ellipsis and four of its characters.
	// +optional
	// +kubebuilder:validation:MaxLength=8
	Hint string `json:"hint,omitempty"`
	// refresh vouches for the refresh token of a login that can be refreshed.
	// +optional
	Refresh *RefreshRecord `json:"refresh,omitempty"`
	// owner is the object that this credential belongs to.
	// +required
	Owner RecordOwner `json:"owner,omitzero"`
	// client on whose behalf the credential speaks.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Client string `json:"client,omitempty"`
	// user on whose behalf the credential speaks, if it does.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	User string `json:"user,omitempty"`
	// userUID is the uid of that User, so that a later User of the same name does not inherit the credential. Logins leave it
	// out: their owner is the User.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	UserUID types.UID `json:"userUID,omitempty"`
	// state Suspended refuses the credential until it is Active again. Defaults to Active.
	// +optional
	// +kubebuilder:default=Active
	State State `json:"state,omitempty"`
	// roles that the credential asks for; verification cuts them down to what the client holds at that moment.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// permissions that the credential asks for beside its roles, cut down in the same way.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	Permissions []Permission `json:"permissions,omitempty"`
	// sourceRanges are the addresses from which the credential is accepted. Empty: from everywhere.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SourceRanges []SourceRange `json:"sourceRanges,omitempty"`
	// issuedAt is when the credential was made.
	// +required
	IssuedAt metav1.Time `json:"issuedAt,omitzero"`
	// expiresAt is the first instant at which the credential is refused. Absent: it does not expire.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// session is the SHA-256 of the session id without which the credential is refused.
	// +optional
	Session Digest `json:"session,omitempty"`
	// idleTimeout ends the credential when it was not used for so long.
	// +optional
	IdleTimeout PositiveDuration `json:"idleTimeout,omitempty"`
	// version counts the credentials that the owner has had, from 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Version int64 `json:"version,omitempty"`
	// trigger is the value of rotation.trigger that the owner had when the credential was made.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Trigger string `json:"trigger,omitempty"`
	// request is a digest of who asked for the credential and by which request, by which a retry of that request is known.
	// Absent: nobody but the spec of the owner asked for it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Request string `json:"request,omitempty"`
	// authorizedAt is set where a holder asked for the credential: when the declaration, or the rotation by an administrator,
	// that it descends from was made. Its lifetime counts from there, so that no chain of rotations by holders outlives it.
	// Absent: issuedAt.
	// +optional
	AuthorizedAt *metav1.Time `json:"authorizedAt,omitempty"`
	// predecessor is the record whose credential this one took over from.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	Predecessor string `json:"predecessor,omitempty"`
	// supersededAt is when a successor took over. Absent on the current credential. It is set once.
	// +optional
	SupersededAt *metav1.Time `json:"supersededAt,omitempty"`
	// credential is a fingerprint of the password that opened a login.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Credential string `json:"credential,omitempty"`
	// authenticatedAt is when the password of a login was presented, which may have been refreshed since. Absent: issuedAt.
	// +optional
	AuthenticatedAt *metav1.Time `json:"authenticatedAt,omitempty"`
	// sessionEndsAt is the first instant at which a login is refused for good, however often it is refreshed or changes its
	// account. Absent: logins.maxSessionLifetime of the client alone counts.
	// +optional
	SessionEndsAt *metav1.Time `json:"sessionEndsAt,omitempty"`
}

// RefreshRecord vouches for the refresh token of a login.
type RefreshRecord struct {
	// digest of the refresh token.
	// +required
	Digest Digest `json:"digest,omitempty"`
	// family is a digest of what all refresh tokens of one session have in common, so that each of them is known again.
	// +required
	Family Digest `json:"family,omitempty"`
	// previousDigest is that of the refresh token before, which a retry may still present.
	// +optional
	PreviousDigest Digest `json:"previousDigest,omitempty"`
	// previousUntil is the first instant at which presenting the one before counts as a replay.
	// +optional
	PreviousUntil *metav1.Time `json:"previousUntil,omitempty"`
	// recent are others that were used up or replaced a moment ago. To present one of them is neither a retry nor a replay.
	// +optional
	// +listType=map
	// +listMapKey=digest
	// +kubebuilder:validation:MaxItems=8
	Recent []RecentRefresh `json:"recent,omitempty"`
	// expiresAt is the first instant at which the refresh token is refused.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// RecentRefresh is a refresh token that was used up or replaced a moment ago.
type RecentRefresh struct {
	// digest of the refresh token.
	// +required
	Digest Digest `json:"digest,omitempty"`
	// until is the first instant at which presenting it counts as a replay.
	// +required
	Until metav1.Time `json:"until,omitzero"`
}

// RecordOwner is the object that a credential belongs to. It is found by namespace and name; the uid keeps a namesake
// from inheriting.
type RecordOwner struct {
	// kind of the object: ApplicationToken or User.
	// +required
	// +kubebuilder:validation:Enum=ApplicationToken;User
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

// TokenRecordStatus is how a credential is used.
// +structType=atomic
type TokenRecordStatus struct {
	// lastUsedAt is when the credential was last accepted, as far as it has been written.
	// +optional
	LastUsedAt *metav1.Time `json:"lastUsedAt,omitempty"`
	// lastUsedFrom is the address that it was last accepted from.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastUsedFrom string `json:"lastUsedFrom,omitempty"`
}
