package tokenspec

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/schedule"
)

// ParseSchedule parses a cron expression of five fields, or a descriptor such as @daily, in a time
// zone.
func ParseSchedule(text, zone string) (plan.Schedule, error) {
	if strings.Contains(text, "=") || strings.HasPrefix(text, "@every") {
		return nil, fmt.Errorf("spec.rotation.schedule %q is not a cron expression: a time zone goes into spec.rotation.timeZone, an interval into spec.rotation.every", text)
	}
	where := time.UTC
	if zone != "" {
		var err error
		if where, err = time.LoadLocation(zone); err != nil || zone == "Local" {
			return nil, fmt.Errorf("spec.rotation.timeZone %q is not a time zone: write it like Europe/Zurich", zone)
		}
	}
	calendar, err := schedule.Parse(text, where)
	if err != nil {
		return nil, fmt.Errorf("spec.rotation.schedule %q is not a cron expression of five fields, such as \"0 3 * * 1\": %w", text, err)
	}
	if calendar.Next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("spec.rotation.schedule %q never comes due: it names a date that does not exist, such as 30 February; correct it", text)
	}
	return calendar, nil
}
