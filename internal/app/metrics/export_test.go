package metrics

// Internals for tests.
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
