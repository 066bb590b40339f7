package metrics

// Internals that tests use.
var (
	NewScrapeHandler  = scrapeHandler
	SoonestToExpire   = soonestToExpire
	NewRequestLimiter = newRequestLimiter
)

// Bounds of /metrics.
const (
	MaxScrapes      = maxScrapes
	MaxInFlight     = maxInFlight
	SourceBurst     = sourceBurst
	MaxExpirySeries = maxExpirySeries
)
