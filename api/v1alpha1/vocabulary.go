package v1alpha1

// Labels, annotations and finalizers that the operator puts on objects.
const (
	// LabelManaged marks the Secrets that the operator watches. It reads no other Secret.
	LabelManaged = "apptoken.dev/managed"
	// LabelToken names the ApplicationToken that a Secret belongs to.
	LabelToken = "apptoken.dev/token"
	// AnnotationRecord names the TokenRecord that vouches for the token in a Secret. On an ApplicationToken that the HTTP API
	// made, it names that of the version which was last given in an answer.
	AnnotationRecord = "apptoken.dev/record"
	// AnnotationRotate, on an ApplicationToken whose token goes into a Secret, asks for a rotation: any change of its value
	// rotates once, now, beside spec.rotation.trigger, which is Git's. Taking it away does nothing.
	AnnotationRotate = "apptoken.dev/rotate"
	// AnnotationName holds on an ApplicationToken that the HTTP API made the name that it was given there.
	AnnotationName = "apptoken.dev/name"
	// AnnotationRotateSelf, on an ApplicationToken whose token goes into a Secret, asks for a rotation on behalf of the holder
	// of the TokenRecord that it names. It counts only while that is the record of the current version.
	AnnotationRotateSelf = "apptoken.dev/rotate-self"
	// AnnotationAttempt holds on an ApplicationToken that the HTTP API is about to make by whom, until it is made.
	AnnotationAttempt = "apptoken.dev/attempt"
	// AnnotationAdopt, set on a Secret by its owner to the name of an ApplicationToken, together with the label
	// apptoken.dev/managed: "true", lets that token take the Secret over. Both may stay on the Secret. The keys of
	// spec.secret.data are the operator's; while the annotation is there, the other keys are the owner's.
	AnnotationAdopt = "apptoken.dev/adopt"
	// AnnotationRestartPrefix, with the name of an ApplicationToken behind it, holds on the pod template of a restart
	// target the record of the version that it was restarted for.
	AnnotationRestartPrefix = "restart.apptoken.dev/"
	// FieldManagerManagement is the field manager of what the HTTP API writes to ApplicationTokens. A token whose state was set
	// to Suspended by any other field manager is not made Active again over HTTP.
	FieldManagerManagement = "apptoken-management-api"
	// FinalizerRecords keeps an ApplicationToken until its records are retired.
	FinalizerRecords = "apptoken.dev/records"
	// FinalizerLogins keeps a User until its logins are ended.
	FinalizerLogins = "apptoken.dev/logins"
)

// Conditions.
const (
	// ConditionReady sums up. On an ApplicationToken it is true while the Secret holds a token that a live record vouches
	// for and the spec is obeyed. On a Client it is true while its tokens are accepted. On a User it is true while the
	// user can log in.
	ConditionReady = "Ready"
	// ConditionStalled is there, and true, while nothing will change until somebody edits something.
	// Its reason is that of Ready.
	ConditionStalled = "Stalled"
	// ConditionReconciling is there, and true, while the operator waits for something that will come by itself.
	ConditionReconciling = "Reconciling"
	// ConditionPredecessorInUse is there, and true, while a predecessor stays after its minOverlap
	// since it is in use, or since nothing shows that its consumers use a successor. Reasons:
	// UsedRecently, SuccessorUnused.
	ConditionPredecessorInUse = "PredecessorInUse"
	// ConditionWithheld is there, and true, while an ApplicationToken takes no place in the quota of its client and so every
	// version of it is refused. Reason TooManyTokens: it waits for a place.
	ConditionWithheld = "Withheld"
	// ConditionRotationPending is there, and true, while a rotation is due and waits, so that no
	// predecessor ends for it and consumers have the time to move on. Reasons: MinOverlap,
	// RolloutIncomplete, PredecessorsKept.
	ConditionRotationPending = "RotationPending"
	// ConditionExpiringSoon is there, and true, while the last third of the lifetime runs (seven days at most) and nothing
	// asks for rotation.
	ConditionExpiringSoon = "ExpiringSoon"
	// ConditionRestarted is there where the spec names restart targets, and true once each was restarted for the current
	// version. Reasons when false: RestartTargetMissing, RestartFailed.
	ConditionRestarted = "Restarted"
	// ConditionPasswordFound is always there on a User, and true while there is a password to check against.
	// Reasons when false: PasswordMissing, PasswordUnreadable.
	ConditionPasswordFound = "PasswordFound"
	// ConditionAccountsResolved is always there on a User, and true while each of its accounts names a Client that is
	// there. Reason when false: AccountMissing.
	ConditionAccountsResolved = "AccountsResolved"
	// ConditionAccountIDContested is there on a Client, and true, while another Client asks for the accountID that this one
	// keeps.
	ConditionAccountIDContested = "AccountIDContested"
	// ConditionUsernameContested is there on a User, and true, while another User asks for the username that this one keeps.
	ConditionUsernameContested = "UsernameContested"
)

// Reasons of Ready=True.
const (
	// ReasonIssued reports that the Secret holds the token.
	ReasonIssued = "Issued"
	// ReasonDelivered reports that the token was given in the answer of the HTTP API.
	ReasonDelivered = "Delivered"
	// ReasonActive reports that the client's tokens are accepted, or that the user can log in.
	ReasonActive = "Active"
)

// Reasons of Ready=False, with Stalled=True: somebody must edit something.
const (
	// ReasonInvalidSpec reports that a field cannot be understood; the message names it.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonClientMissing reports that a user's account is at a Client that does not exist. A namespace that names such a Client
	// itself gets NamespaceNotGranted.
	ReasonClientMissing = "ClientMissing"
	// ReasonUserMissing reports that there is no User of that name, of a token made through the HTTP API. Others get
	// NamespaceNotGranted.
	ReasonUserMissing = "UserMissing"
	// ReasonUserSuspended reports that the user is suspended, and with it every token.
	ReasonUserSuspended = "UserSuspended"
	// ReasonClientSuspended reports that the client is suspended, and with it every token.
	ReasonClientSuspended = "ClientSuspended"
	// ReasonNamespaceNotGranted reports that this namespace may not use the client or user: it does not exist, grants nothing to
	// the namespace, or does not list it. It is the one answer until the namespace is granted, so that it tells nothing more.
	ReasonNamespaceNotGranted = "NamespaceNotGranted"
	// ReasonOverCeiling reports that a role or permission is more than the client grants to this namespace, or than it has.
	ReasonOverCeiling = "OverCeiling"
	// ReasonLifetimeTooLong reports that the client's policy wants a shorter lifetime.
	ReasonLifetimeTooLong = "LifetimeTooLong"
	// ReasonNonExpiringForbidden reports that the client's policy wants a lifetime, or rotation.
	ReasonNonExpiringForbidden = "NonExpiringForbidden"
	// ReasonTooManyTokens reports that the client has as many tokens as its policy allows.
	ReasonTooManyTokens = "TooManyTokens"
	// ReasonSourceMissing reports that cloneFrom names a token that is not there.
	ReasonSourceMissing = "SourceMissing"
	// ReasonSourceNotUsable reports that cloneFrom names a token that is suspended, revoked or being deleted, or speaks for a user.
	ReasonSourceNotUsable = "SourceNotUsable"
	// ReasonCloneLoop reports that following cloneFrom comes back to this token.
	ReasonCloneLoop = "CloneLoop"
	// ReasonSecretTaken reports that a Secret of that name exists and is not ours.
	ReasonSecretTaken = "SecretTaken"
	// ReasonSecretRefused reports that the API server refuses the Secret: a quota, an admission policy, an immutable Secret.
	ReasonSecretRefused = "SecretRefused"
	// ReasonDeliveryUnavailable reports that the token cannot be delivered as the spec asks.
	ReasonDeliveryUnavailable = "DeliveryUnavailable"
	// ReasonUndelivered reports that no answer of the HTTP API has given the token.
	ReasonUndelivered = "Undelivered"
	// ReasonSuspended reports that the token, the client or the user is suspended.
	ReasonSuspended = "Suspended"
	// ReasonRevoked reports that the token is revoked for good.
	ReasonRevoked = "Revoked"
	// ReasonExpired reports that the lifetime is over and nothing asked for rotation.
	ReasonExpired = "Expired"
	// ReasonAccountIDTaken reports that another Client had the same accountID first.
	ReasonAccountIDTaken = "AccountIDTaken"
	// ReasonUsernameTaken reports that another User had the same username first.
	ReasonUsernameTaken = "UsernameTaken"
	// ReasonAccountIDClaimed reports that another Client asks for the accountID that this one keeps.
	ReasonAccountIDClaimed = "AccountIDClaimed"
	// ReasonUsernameClaimed reports that another User asks for the username that this one keeps.
	ReasonUsernameClaimed = "UsernameClaimed"
	// ReasonPasswordMissing reports that the user has no password: no passwordSecretRef, no such Secret, or neither key in it.
	ReasonPasswordMissing = "PasswordMissing"
	// ReasonPasswordUnreadable reports that the hash, or the password itself, is none that can be checked; the message says why.
	ReasonPasswordUnreadable = "PasswordUnreadable"
	// ReasonNoAccount reports that there is no account at which the user can log in.
	ReasonNoAccount = "NoAccount"
)

// Reasons of Ready=False, with Reconciling=True: it comes by itself.
const (
	// ReasonStoreUnavailable reports that the API server did not answer; the operator tries again.
	ReasonStoreUnavailable = "StoreUnavailable"
)

// Reasons of the conditions beside Ready.
const (
	// ReasonPasswordFound reports that there is a password to check against; status.password says in which form.
	ReasonPasswordFound = "PasswordFound"
	// ReasonAccountsResolved reports that each account names a Client that is there.
	ReasonAccountsResolved = "AccountsResolved"
	// ReasonAccountMissing reports that an account names a Client that is not there.
	ReasonAccountMissing = "AccountMissing"
	// ReasonUsedRecently reports that a predecessor was used and has not been quiet for quietPeriod
	// since, counted from the rotation at the earliest.
	ReasonUsedRecently = "UsedRecently"
	// ReasonSuccessorUnused reports that no successor of a predecessor has been used: its consumers
	// may not have moved on.
	ReasonSuccessorUnused = "SuccessorUnused"
	// ReasonMinOverlap reports that a rotation waits until a minOverlap has passed: that of a
	// predecessor, or since the last rotation by a holder of the token.
	ReasonMinOverlap = "MinOverlap"
	// ReasonPredecessorsKept reports that a rotation waits until a predecessor has gone by itself:
	// one of three, or one of two where a holder of the token asks for the rotation.
	ReasonPredecessorsKept = "PredecessorsKept"
	// ReasonRolloutIncomplete reports that a rotation waits until a restart target runs with the
	// current version.
	ReasonRolloutIncomplete = "RolloutIncomplete"
	// ReasonNoRotation reports that a token is about to expire and nothing asks for rotation.
	ReasonNoRotation = "NoRotation"
	// ReasonRestarted reports that every restart target was restarted for the current version.
	ReasonRestarted = "Restarted"
	// ReasonRestartTargetMissing reports that a restart target is not there.
	ReasonRestartTargetMissing = "RestartTargetMissing"
	// ReasonRestartFailed reports that a restart target could not be changed, or keeps its pods: it is paused, or they have to be
	// deleted.
	ReasonRestartFailed = "RestartFailed"
)

// Reasons of events that are no conditions.
const (
	// EventRotated reports that a successor took over.
	EventRotated = "Rotated"
	// EventSelfRotated reports that a successor took over because a holder of the version before asked for it.
	EventSelfRotated = "SelfRotated"
	// EventReissued reports that a new version was made since the Secret or the record was gone or altered.
	EventReissued = "Reissued"
	// EventRetired reports that a predecessor went.
	EventRetired = "Retired"
	// EventRefreshTokenReplayed warns, on a User, that a used-up refresh token was presented and its session ended.
	EventRefreshTokenReplayed = "RefreshTokenReplayed"
	// EventRetiredInUse warns that a predecessor went although it was in use.
	EventRetiredInUse = "RetiredInUse"
)
