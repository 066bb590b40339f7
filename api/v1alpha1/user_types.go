package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// User is a person or program that logs in with a name and a password, for short-lived credentials
// at one client at a time.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=atuser;apptokenuser,categories=apptokens
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Username",type=string,JSONPath=`.status.username`
// +kubebuilder:printcolumn:name="Password",type=string,JSONPath=`.status.password`
// +kubebuilder:printcolumn:name="Sessions",type=integer,JSONPath=`.status.sessions`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",fieldPath=".metadata",message="a User's name may have at most 63 characters, since it becomes part of the names by which clusters know it"
type User struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec describes who logs in, and where.
	// +optional
	Spec UserSpec `json:"spec,omitzero"`
	// status is the observed state of the user.
	// +optional
	Status UserStatus `json:"status,omitzero"`
}

// UserList is a list of Users.
// +kubebuilder:object:root=true
type UserList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []User `json:"items"`
}

// UserSpec describes who logs in, and where.
// +kubebuilder:validation:XValidation:rule="!has(self.accounts) || self.accounts.filter(a, has(a.default) && a.default).size() <= 1",fieldPath=".accounts",message="must not have more than one default; keep default: true on one account"
type UserSpec struct {
	// username is the name with which the user logs in. It is case-sensitive, and compared in its
	// composed form (NFC). No two Users share one: the User that had it first keeps it. Defaults to
	// the name of the object.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="!self.contains(':')",message="must not contain a colon, which ends the name in HTTP's basic authentication"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="must not contain line breaks, control characters or invisible characters"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[\\\\s\\\\p{Z}]|[\\\\s\\\\p{Z}]$')",message="must not begin or end with a space"
	Username string `json:"username,omitempty"`

	// state Suspended rejects every credential of this user, at every endpoint, at once. Defaults
	// to Active.
	// +optional
	// +kubebuilder:default=Active
	State State `json:"state,omitempty"`

	// passwordSecretRef names a Secret in the operator's namespace. Its key passwordHash holds a
	// hash of the password (argon2id in PHC form, or bcrypt). Alternatively its key password holds
	// the password itself, as some other tools deliver it. If both are there, the hash counts. The
	// operator never writes to the Secret. If absent, the user cannot log in.
	// +optional
	PasswordSecretRef *Reference `json:"passwordSecretRef,omitempty"`

	// accounts are the clients at which the user may log in. A login that names no account uses the
	// default account, or the first one if none is the default.
	// +optional
	// +listType=map
	// +listMapKey=client
	// +kubebuilder:validation:MaxItems=256
	Accounts []Account `json:"accounts,omitempty"`

	// namespaces are those whose ApplicationTokens may name this user. Defaults to none.
	// +optional
	Namespaces UserNamespaces `json:"namespaces,omitzero"`

	// logins sets how many logins the user may have at each client. Defaults to what the client
	// sets for each of its users.
	// +optional
	Logins UserLogins `json:"logins,omitzero"`
}

// UserLogins sets how many logins of each kind a user may have at each client.
type UserLogins struct {
	// maxSessions is the maximum number of sessions at each client: of login tokens with their
	// refresh tokens. A further login ends the oldest one. Defaults to logins.maxSessionsPerUser of
	// the client.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxSessions *int32 `json:"maxSessions,omitempty"`
	// maxSessionTokens is the maximum number of session tokens at each client. A further one ends
	// the one that was unused for the longest time. Defaults to logins.maxSessionTokensPerUser of
	// the client.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxSessionTokens *int32 `json:"maxSessionTokens,omitempty"`
	// maxOpenTokens is the maximum number of open tokens at each client. A further one ends the
	// oldest one. Defaults to logins.maxOpenTokensPerUser of the client.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxOpenTokens *int32 `json:"maxOpenTokens,omitempty"`
}

// Account is a client at which a user may log in, with the roles of the user there.
type Account struct {
	// client is the name of the Client.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Client: lower case letters, digits, - and ."
	Client string `json:"client"`
	// roles of the user at the client, out of those of the client.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Roles []RoleName `json:"roles,omitempty"`
	// default makes a login that names no account use this account. Defaults to false.
	// +optional
	Default bool `json:"default,omitempty"`
}

// UserNamespaces names namespaces.
type UserNamespaces struct {
	// names of the namespaces.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace; patterns are not supported, list each"
	Names []string `json:"names,omitempty"`
}

// UserReference names a User and one of the user's accounts.
type UserReference struct {
	// name of the User.
	// +required
	Name ObjectName `json:"name"`
	// client is the account of the user for which the token acts. Defaults to the user's default
	// account at the first issue.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Client: lower case letters, digits, - and ."
	Client string `json:"client,omitempty"`
}

// PasswordForm is the form in which a password was found.
// +kubebuilder:validation:Enum=Hashed;Plain;Missing;Unreadable
type PasswordForm string

const (
	// PasswordHashed is a hash that the operator can verify passwords against.
	PasswordHashed PasswordForm = "Hashed"
	// PasswordPlain is the password itself.
	PasswordPlain PasswordForm = "Plain"
	// PasswordMissing means that there is no Secret, or that the Secret has neither key.
	PasswordMissing PasswordForm = "Missing"
	// PasswordUnreadable means that the hash, or the password itself, cannot be used to verify
	// passwords.
	PasswordUnreadable PasswordForm = "Unreadable"
)

// UserStatus is the observed state of a user.
type UserStatus struct {
	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions of the user. Ready summarizes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// username is the name with which the user logs in. It is absent while another User has the
	// name that this one asks for.
	// +optional
	Username string `json:"username,omitempty"`
	// password is the form in which the password was found.
	// +optional
	Password PasswordForm `json:"password,omitempty"`
	// accounts are those at which the user can log in, with the roles that the user holds there
	// now.
	// +optional
	// +listType=map
	// +listMapKey=client
	Accounts []AccountStatus `json:"accounts,omitempty"`
	// sessions is the number of logins of the user, of all kinds and at all clients.
	// +optional
	Sessions int32 `json:"sessions"`
}

// AccountStatus is an account at which the user can log in.
type AccountStatus struct {
	// client is the name of the Client.
	// +required
	Client string `json:"client"`
	// accountID is the integer by which some login protocols name the account.
	// +optional
	AccountID *int64 `json:"accountID,omitempty"`
	// roles that the user holds there: those roles of the account that the client has.
	// +optional
	// +listType=set
	Roles []RoleName `json:"roles,omitempty"`
}
