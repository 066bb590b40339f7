package metrics

// What tests need of the inside.
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
