package tokenspec

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/schedule"
)

// setRotation parses when the token expires and rotates.
func setRotation(at *v1alpha1.ApplicationToken, d *plan.Desired, refuse refuseFunc) {
	r := at.Spec.Rotation
	read := func(field, text string, otherwise time.Duration) time.Duration {
		v, err := parseDuration(text, otherwise)
		if err != nil {
			refuse(v1alpha1.ReasonInvalidSpec, "spec.%s: invalid duration: use h, m and s, for example 720h or 1h30m", field)
			return otherwise
		}
		return v
	}
	d.Lifetime = read("lifetime", string(at.Spec.Lifetime), 0)
	d.Every = read("rotation.every", string(r.Every), 0)

	var retire v1alpha1.Retire
	if r.Retire != nil {
		retire = *r.Retire
	}
	if retire.When == v1alpha1.RetireAfterOverlap {
		d.Retire.When = plan.RetireAfterOverlap
	}
	longest := defaultMaxOverlap
	if d.Every > 0 {
		longest = min(longest, d.Every)
	}
	d.Retire.Quiet = read("rotation.retire.quietPeriod", string(retire.QuietPeriod), defaultQuietPeriod)
	d.Retire.Max = read("rotation.retire.maxOverlap", string(retire.MaxOverlap), max(longest, DurationOr(retire.MinOverlap, 0)))
	d.Retire.Min = read("rotation.retire.minOverlap", string(retire.MinOverlap), min(defaultMinOverlap, d.Retire.Max))
	if d.Every > 0 && d.Retire.Max > d.Every {
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation.retire: predecessors would stay for %s, longer than the interval of %s; shorten the overlap, or lengthen spec.rotation.every", d.Retire.Max, d.Every)
	}
	if r.Schedule != "" {
		calendar, err := ParseSchedule(r.Schedule, r.TimeZone)
		if err != nil {
			refuse(v1alpha1.ReasonInvalidSpec, "%s", err)
			return
		}
		d.Schedule = calendar
	}
}

// scheduleSampleStart is the instant from which calendars are sampled. It is fixed, so that the
// same spec always gets the same result.
var scheduleSampleStart = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// WithoutTimeZone returns d with its calendar in UTC. Where a clock is set forward or back, two
// instants come closer together than the spec asks. plan.NextRotation skips the later one then, and
// the spec stays valid.
func WithoutTimeZone(d plan.Desired) plan.Desired {
	if c, ok := d.Schedule.(schedule.Cron); ok {
		d.Schedule = c.In(time.UTC)
	}
	return d
}

// checkRotationInterval refuses a token that rotates at shorter intervals than its client allows.
func checkRotationInterval(c *v1alpha1.Client, d *plan.Desired, refuse refuseFunc) {
	d.MinInterval = defaultMinRotationInterval
	if c == nil {
		return
	}
	d.MinInterval = DurationOr(c.Spec.Tokens.MinRotationInterval, defaultMinRotationInterval)
	shortest := plan.ShortestInterval(WithoutTimeZone(*d), scheduleSampleStart)
	if shortest == 0 || shortest >= d.MinInterval {
		return
	}
	const remedy = "; rotate less often, or ask its platform team to lower spec.tokens.minRotationInterval"
	switch {
	case d.Every == shortest:
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation.every: %s is too short: client %s allows a rotation every %s at most"+remedy, shortest, c.Name, d.MinInterval)
	case d.Schedule != nil:
		refuse(v1alpha1.ReasonInvalidSpec, "spec.rotation.schedule, or spec.lifetime: two rotations within %s are too many: client %s allows one every %s at most"+remedy, shortest, c.Name, d.MinInterval)
	default:
		refuse(v1alpha1.ReasonInvalidSpec, "spec.lifetime: it is so short that the token rotates every %s, and client %s allows a rotation every %s at most; lengthen it, or ask its platform team to lower spec.tokens.minRotationInterval", shortest, c.Name, d.MinInterval)
	}
}

// parseDuration parses a duration that is not negative. It returns otherwise if text is empty.
func parseDuration(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("invalid duration %q", text)
	}
	return v, nil
}

// DurationOr parses a duration that was validated elsewhere. It returns otherwise if text is empty
// or invalid.
func DurationOr[T ~string](text T, otherwise time.Duration) time.Duration {
	v, err := parseDuration(string(text), otherwise)
	if err != nil {
		return otherwise
	}
	return v
}

// rotationSpread returns the position of the token in [0, 1) among tokens that rotate at the same
// instant. It is the same after a restart.
func rotationSpread(at *v1alpha1.ApplicationToken) float64 {
	sum := sha256.Sum256([]byte(at.Namespace + "/" + at.Name))
	return float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
}
