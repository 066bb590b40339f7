package verify

// Verdict is the result of a verification. Only logs and metrics distinguish the
// rejections; endpoints answer by Valid, IsForbidden and IsUndecided.
type Verdict uint8

// The verdicts. Up to Stale the caller is not authenticated. From PermissionMissing to
// ClientRefused the credential is valid, but does not hold what was required.
const (
	// Malformed is the zero Verdict: the text is no credential of this operator, or is empty.
	Malformed Verdict = iota
	// Unknown means that there is no record: it was never issued, was retired or revoked, or is not
	// known here yet.
	Unknown
	// Expired means that the lifetime or the overlap is over.
	Expired
	// Suspended means that the record is suspended, by the owner's state or by a withdrawn grant.
	Suspended
	// OwnerDisabled means that the owner is suspended, revoked, deleted, or not known at all.
	OwnerDisabled
	// ClientMissing means that the client does not exist.
	ClientMissing
	// ClientSuspended means that the client is suspended.
	ClientSuspended
	// UserDisabled means that the user does not exist, is suspended, or has no account at the
	// client any more.
	UserDisabled
	// NamespaceNotGranted means that the client, or the user, grants nothing to the owner's
	// namespace any more.
	NamespaceNotGranted
	// PasswordChanged means that the login was opened with a password that is no longer the user's.
	PasswordChanged
	// Idle means that the login was not used for too long.
	Idle
	// SessionRefused means that the session ID of the credential was not presented with it.
	SessionRefused
	// SourceRefused means that the credential, or its client, is not accepted from this address.
	SourceRefused
	// BasicForbidden means that the client does not allow a name and a password, or that the token
	// is of a kind that is no password.
	BasicForbidden
	// UsernameRefused means that a token was presented as a password with a username that names
	// something else.
	UsernameRefused
	// PasswordRefused means that no user has this username and this password.
	PasswordRefused
	// AttemptsLimited means that a password was not checked, because the username or the address
	// has failed too often.
	AttemptsLimited
	// Undecided means that the API server had to be asked, and did not answer or was asked too
	// often.
	Undecided
	// Stale means that the index has not been known to be up to date for too long, or never was.
	Stale
	// PermissionMissing means that a required permission is not held.
	PermissionMissing
	// RoleMissing means that a required role is not held.
	RoleMissing
	// ClientRefused means that the credential belongs to another client than the required one.
	ClientRefused
	// AccountRefused means that the password is right, and the account cannot be used. The
	// account_id names no account of the user, an integrator names none, or there is no account.
	AccountRefused
	// Valid means that the credential is valid and holds what was required.
	Valid
)

var verdictNames = [...]string{
	Malformed: "Malformed", Unknown: "Unknown", Expired: "Expired", Suspended: "Suspended", OwnerDisabled: "OwnerStopped",
	ClientMissing: "ClientMissing", ClientSuspended: "ClientSuspended", UserDisabled: "UserStopped",
	NamespaceNotGranted: "NamespaceNotGranted",
	PasswordChanged:     "PasswordChanged", Idle: "Idle", SessionRefused: "SessionRefused", SourceRefused: "SourceRefused",
	BasicForbidden: "BasicForbidden", UsernameRefused: "UsernameRefused", PasswordRefused: "PasswordRefused", AttemptsLimited: "Limited",
	Undecided: "Undecided", Stale: "Stale",
	PermissionMissing: "PermissionMissing", RoleMissing: "RoleMissing", ClientRefused: "ClientRefused", AccountRefused: "AccountRefused", Valid: "Valid",
}

// String returns the name of the verdict in logs and metrics.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		v = Malformed
	}
	return verdictNames[v]
}

// Verdicts returns all verdicts, in order.
func Verdicts() []Verdict {
	all := make([]Verdict, len(verdictNames))
	for i := range all {
		all[i] = Verdict(i)
	}
	return all
}

// IsUndecided reports whether the verification could not be decided, so that a retry may help.
func (v Verdict) IsUndecided() bool { return v == Undecided || v == Stale }

// IsForbidden reports whether the credential is valid, but does not hold what was required.
func (v Verdict) IsForbidden() bool {
	return v == PermissionMissing || v == RoleMissing || v == ClientRefused || v == AccountRefused
}
