package verify

// Verdict says how a verification ended. Only logs and metrics tell the refusals apart; doors answer by Good and Forbidden.
type Verdict uint8

// The verdicts. Up to SourceRefused nobody is known; from PermissionMissing on the credential is good, but not for this.
const (
	// Malformed is the zero Verdict: what was presented is no credential of ours, or nothing was.
	Malformed Verdict = iota
	// Unknown credentials have no record: they were never issued, are retired or revoked, or are not known here yet.
	Unknown
	// Expired says that the lifetime or the overlap is over.
	Expired
	// Suspended says that the record is suspended: the owner's state, or a grant that was withdrawn.
	Suspended
	// OwnerStopped says that the owner is suspended, revoked, deleted, or not known at all.
	OwnerStopped
	// ClientMissing says that there is no such client.
	ClientMissing
	// ClientSuspended says that the client is suspended.
	ClientSuspended
	// UserStopped says that there is no such user, that they are suspended, or have no account at the client any more.
	UserStopped
	// NamespaceNotGranted says that the client, or the user, grants the owner's namespace nothing any more.
	NamespaceNotGranted
	// PasswordChanged says that the password that the login was opened with is not the user's any more.
	PasswordChanged
	// Idle says that the login was not used for too long.
	Idle
	// SessionRefused says that the session id that goes with the credential was not presented with it.
	SessionRefused
	// SourceRefused says that the credential, or its client, is not accepted from this address.
	SourceRefused
	// Undecided says that the store had to be asked, and did not answer, or was asked too often.
	Undecided
	// Stale says that too much time has passed since the index was known to be up to date, or that it never was.
	Stale
	// PermissionMissing says that a required permission is not held.
	PermissionMissing
	// RoleMissing says that a required role is not held.
	RoleMissing
	// ClientRefused says that the credential is of another client than those asked for.
	ClientRefused
	// Good credentials are what they claim to be, and hold what was required.
	Good
)

var verdicts = [...]string{
	Malformed: "Malformed", Unknown: "Unknown", Expired: "Expired", Suspended: "Suspended", OwnerStopped: "OwnerStopped",
	ClientMissing: "ClientMissing", ClientSuspended: "ClientSuspended", UserStopped: "UserStopped",
	NamespaceNotGranted: "NamespaceNotGranted",
	PasswordChanged:     "PasswordChanged", Idle: "Idle", SessionRefused: "SessionRefused", SourceRefused: "SourceRefused",
	Undecided: "Undecided", Stale: "Stale",
	PermissionMissing: "PermissionMissing", RoleMissing: "RoleMissing", ClientRefused: "ClientRefused", Good: "Good",
}

// String is the name of the verdict, as logs and metrics call it.
func (v Verdict) String() string {
	if int(v) >= len(verdicts) {
		v = Malformed
	}
	return verdicts[v]
}

// Verdicts are all there are, in order.
func Verdicts() []Verdict {
	all := make([]Verdict, len(verdicts))
	for i := range all {
		all[i] = Verdict(i)
	}
	return all
}

// Open says that it could not be decided, so that asking again can help.
func (v Verdict) Open() bool { return v == Undecided || v == Stale }

// Forbidden says that the credential is good, but does not hold what was required.
func (v Verdict) Forbidden() bool {
	return v == PermissionMissing || v == RoleMissing || v == ClientRefused
}
