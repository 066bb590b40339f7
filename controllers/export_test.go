package controllers

// Hurry is how ApplicationTokens get into the queue of those that cannot wait.
var Hurry = hurry

// Noted and AskedFor are how a record keeps what asked for its version.
var (
	Noted    = noted
	AskedFor = askedFor
)

// IsReserved, IsActedOn and IsAllowed decide about keys of labels and annotations of a Secret.
var (
	IsReserved = isReserved
	IsActedOn  = isActedOn
	IsAllowed  = isAllowed
)

// RetryDelay is how long the operator waits after failures.
var RetryDelay = retryDelay
