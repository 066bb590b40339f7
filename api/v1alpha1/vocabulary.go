package v1alpha1

// Labels, annotations, finalizers and field managers of the operator.
const (
	// LabelManaged marks the Secrets that the operator watches. Without this label, the operator
	// reads the content of a Secret only if another mark of its own, or the token's status, names
	// it.
	LabelManaged = "apptoken.dev/managed"
	// LabelToken names the ApplicationToken that a Secret belongs to.
	LabelToken = "apptoken.dev/token"
	// AnnotationRecord names the TokenRecord of the token in a Secret. On an ApplicationToken that
	// the HTTP API made, it names the record of the version that was last delivered in a response.
	AnnotationRecord = "apptoken.dev/record"
	// AnnotationRotate, on an ApplicationToken whose token goes into a Secret, asks for a rotation.
	// Any change of its value rotates once, now, besides spec.rotation.trigger, which belongs to
	// Git. Removing it does nothing.
	AnnotationRotate = "apptoken.dev/rotate"
	// AnnotationName holds the name that a token was given in the HTTP API, on an ApplicationToken
	// that the HTTP API made.
	AnnotationName = "apptoken.dev/name"
	// AnnotationRotateSelf, on an ApplicationToken whose token goes into a Secret, asks for a
	// rotation on behalf of the holder of the TokenRecord that it names. It counts only while that
	// is the record of the current version.
	AnnotationRotateSelf = "apptoken.dev/rotate-self"
	// AnnotationAttempt identifies the request that is making an ApplicationToken through the HTTP
	// API. It is removed when the token is made.
	AnnotationAttempt = "apptoken.dev/attempt"
	// AnnotationAdopt lets an ApplicationToken take over a Secret. The owner of the Secret sets it
	// to the name of the token, together with the label apptoken.dev/managed: "true". Both may stay
	// on the Secret. The keys of spec.secret.data belong to the operator. While the annotation is
	// there, the other keys belong to the owner.
	AnnotationAdopt = "apptoken.dev/adopt"
	// AnnotationRestartPrefix, followed by the name of an ApplicationToken, is set on the pod
	// template of a restart target. Its value is the record of the version for which the target was
	// restarted.
	AnnotationRestartPrefix = "restart.apptoken.dev/"
	// FieldManagerManagement is the field manager of the HTTP API for ApplicationTokens. The HTTP
	// API does not reactivate a token that another field manager set to Suspended.
	FieldManagerManagement = "apptoken-management-api"
	// FinalizerRecords keeps an ApplicationToken until its records are retired.
	FinalizerRecords = "apptoken.dev/records"
	// FinalizerLogins keeps a User until its logins are ended.
	FinalizerLogins = "apptoken.dev/logins"
)

// Conditions.
const (
	// ConditionReady summarizes the other conditions. On an ApplicationToken it is true while the
	// Secret holds a token with a live record and the spec is followed. On a Client it is true
	// while its tokens are accepted. On a User it is true while the user can log in.
	ConditionReady = "Ready"
	// ConditionStalled is present, and true, while the operator cannot continue until a user edits
	// an object. It has the reason of Ready.
	ConditionStalled = "Stalled"
	// ConditionReconciling is present, and true, while the operator waits for something that needs
	// no edit.
	ConditionReconciling = "Reconciling"
	// ConditionPredecessorInUse is present, and true, while a predecessor stays after its
	// minOverlap. Either it is in use, or there is no evidence that its consumers use a successor.
	// Reasons: UsedRecently, SuccessorUnused.
	ConditionPredecessorInUse = "PredecessorInUse"
	// ConditionWithheld is present, and true, while an ApplicationToken has no quota at its client,
	// so that every version of it is rejected. Reason: TooManyTokens, it waits for quota.
	ConditionWithheld = "Withheld"
	// ConditionRotationPending is present, and true, while a rotation is due and deferred, so that
	// it ends no predecessor and consumers have time to move on. Reasons: MinOverlap,
	// RolloutIncomplete, PredecessorsKept.
	ConditionRotationPending = "RotationPending"
	// ConditionExpiringSoon is present, and true, during the last third of the lifetime, at most
	// seven days, while no rotation will come. Either nothing asks for one, or the spec is refused
	// or suspended. Reason: NoRotation.
	ConditionExpiringSoon = "ExpiringSoon"
	// ConditionRestarted is present where the spec names restart targets, and true once each was
	// restarted for the current version. Reasons when false: RestartTargetMissing, RestartFailed.
	ConditionRestarted = "Restarted"
	// ConditionPasswordFound is always present on a User, and true while there is a password to
	// verify against. Reasons when false: PasswordMissing, PasswordUnreadable.
	ConditionPasswordFound = "PasswordFound"
	// ConditionAccountsResolved is always present on a User, and true while each of its accounts
	// names an existing Client, and roles of that Client. Reasons when false: AccountMissing,
	// OverCeiling.
	ConditionAccountsResolved = "AccountsResolved"
	// ConditionAccountIDContested is present on a Client, and true, while another Client asks for
	// the accountID that this one keeps.
	ConditionAccountIDContested = "AccountIDContested"
	// ConditionUsernameContested is present on a User, and true, while another User asks for the
	// username that this one keeps.
	ConditionUsernameContested = "UsernameContested"
)

// Reasons of Ready=True.
const (
	// ReasonIssued reports that the Secret holds the token.
	ReasonIssued = "Issued"
	// ReasonDelivered reports that the token was delivered in a response of the HTTP API.
	ReasonDelivered = "Delivered"
	// ReasonActive reports that the client's tokens are accepted, or that the user can log in.
	ReasonActive = "Active"
)

// Reasons of Ready=False with Stalled=True: a user must edit an object.
const (
	// ReasonInvalidSpec reports that a field cannot be parsed; the message names it.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonClientMissing reports that a user's account is at a Client that does not exist. A
	// namespace that names such a Client itself gets NamespaceNotGranted.
	ReasonClientMissing = "ClientMissing"
	// ReasonUserMissing reports that a token made through the HTTP API names a User that does not
	// exist. Other tokens get NamespaceNotGranted.
	ReasonUserMissing = "UserMissing"
	// ReasonUserSuspended reports that the user is suspended, and with it every token.
	ReasonUserSuspended = "UserSuspended"
	// ReasonClientSuspended reports that the client is suspended, and with it every token.
	ReasonClientSuspended = "ClientSuspended"
	// ReasonNamespaceNotGranted reports that this namespace may not use the client or user: it does
	// not exist, grants nothing to the namespace, or does not list it. The reason is the same in
	// all cases, so that a namespace without a grant learns nothing about Clients and Users.
	ReasonNamespaceNotGranted = "NamespaceNotGranted"
	// ReasonOverCeiling reports a role or permission beyond what the client grants to this
	// namespace, or beyond what the client has. On a User, it reports an account with a role that
	// its Client does not have; Ready stays true then.
	ReasonOverCeiling = "OverCeiling"
	// ReasonLifetimeTooLong reports that the client's policy requires a shorter lifetime.
	ReasonLifetimeTooLong = "LifetimeTooLong"
	// ReasonNonExpiringForbidden reports that the client's policy requires a lifetime, or rotation.
	ReasonNonExpiringForbidden = "NonExpiringForbidden"
	// ReasonTooManyTokens reports that the client has as many tokens as its policy allows.
	ReasonTooManyTokens = "TooManyTokens"
	// ReasonSourceMissing reports that cloneFrom names a token that does not exist.
	ReasonSourceMissing = "SourceMissing"
	// ReasonSourceNotUsable reports that cloneFrom names a token that is suspended, revoked or
	// being deleted, or that acts for a user.
	ReasonSourceNotUsable = "SourceNotUsable"
	// ReasonCloneLoop reports that following cloneFrom leads back to this token.
	ReasonCloneLoop = "CloneLoop"
	// ReasonSecretTaken reports that a Secret of that name exists and is not managed by the
	// operator.
	ReasonSecretTaken = "SecretTaken"
	// ReasonSecretRefused reports that the API server rejects the Secret: a quota, an admission
	// policy, an immutable Secret.
	ReasonSecretRefused = "SecretRefused"
	// ReasonDeliveryUnavailable reports that the token cannot be delivered as the spec asks.
	ReasonDeliveryUnavailable = "DeliveryUnavailable"
	// ReasonDeliveryMissing reports that no response of the HTTP API has delivered a valid version
	// of the token.
	ReasonDeliveryMissing = "DeliveryMissing"
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
	// ReasonAccountIDClaimed reports that another Client asks for the accountID that this one
	// keeps.
	ReasonAccountIDClaimed = "AccountIDClaimed"
	// ReasonUsernameClaimed reports that another User asks for the username that this one keeps.
	ReasonUsernameClaimed = "UsernameClaimed"
	// ReasonPasswordMissing reports that the user has no password: no passwordSecretRef, no such
	// Secret, or neither key in it.
	ReasonPasswordMissing = "PasswordMissing"
	// ReasonPasswordUnreadable reports that the hash, or the password itself, cannot be used to
	// verify passwords; the message says why.
	ReasonPasswordUnreadable = "PasswordUnreadable"
	// ReasonNoAccount reports that there is no account at which the user can log in.
	ReasonNoAccount = "NoAccount"
)

// Reasons of Ready=False with Reconciling=True: no edit is needed.
const (
	// ReasonStoreUnavailable reports that the API server did not respond; the operator retries.
	ReasonStoreUnavailable = "StoreUnavailable"
)

// Reasons of the other conditions.
const (
	// ReasonPasswordFound reports that there is a password to verify against; status.password names
	// its form.
	ReasonPasswordFound = "PasswordFound"
	// ReasonAccountsResolved reports that each account names an existing Client, and roles of that
	// Client.
	ReasonAccountsResolved = "AccountsResolved"
	// ReasonAccountMissing reports that an account names a Client that does not exist.
	ReasonAccountMissing = "AccountMissing"
	// ReasonUsedRecently reports that a predecessor has not been unused for quietPeriod since its
	// last use, or since the rotation if that was later.
	ReasonUsedRecently = "UsedRecently"
	// ReasonSuccessorUnused reports that no successor of a predecessor has been used: its consumers
	// may not have moved on.
	ReasonSuccessorUnused = "SuccessorUnused"
	// ReasonMinOverlap reports that a rotation is deferred until a minOverlap has passed: that of a
	// predecessor, or since the last rotation by a holder of the token.
	ReasonMinOverlap = "MinOverlap"
	// ReasonPredecessorsKept reports that a rotation is deferred until a predecessor has ended by
	// itself: one of three, or one of two if a holder of the token requests the rotation.
	ReasonPredecessorsKept = "PredecessorsKept"
	// ReasonRolloutIncomplete reports that a rotation is deferred until a restart target runs with
	// the current version.
	ReasonRolloutIncomplete = "RolloutIncomplete"
	// ReasonNoRotation reports that a token is about to expire and no rotation will come; the
	// message says why.
	ReasonNoRotation = "NoRotation"
	// ReasonRestarted reports that every restart target was restarted for the current version.
	ReasonRestarted = "Restarted"
	// ReasonRestartTargetMissing reports that a restart target does not exist.
	ReasonRestartTargetMissing = "RestartTargetMissing"
	// ReasonRestartFailed reports that a restart target could not be changed, or keeps its pods: it
	// is paused, or its pods must be deleted.
	ReasonRestartFailed = "RestartFailed"
)

// Reasons of events that are not reasons of conditions.
const (
	// EventRotated reports that a successor took over.
	EventRotated = "Rotated"
	// EventSelfRotated reports that a successor took over because a holder of the predecessor asked
	// for it.
	EventSelfRotated = "SelfRotated"
	// EventReissued reports that a new version was issued because the Secret or the record was
	// deleted or altered.
	EventReissued = "Reissued"
	// EventRetired reports that a predecessor ended.
	EventRetired = "Retired"
	// EventRefreshTokenReplayed warns, on a User, that a used refresh token was presented again and
	// that its session was ended.
	EventRefreshTokenReplayed = "RefreshTokenReplayed"
	// EventRetiredInUse warns that a predecessor ended although it was in use.
	EventRetiredInUse = "RetiredInUse"
)
