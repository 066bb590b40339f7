package verification

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/apptoken/operator/internal/cors"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// minSameRate is the ratio of two rates that a measurement here cannot distinguish: on a machine
// with other load, turns of one handler differ by as much.
const minSameRate = 0.9

// otherOrigins compares endpoints that pages of other origins may call with the same endpoints
// where none may. No request has an Origin, as those of programs have none.
func (d *endpointTest) otherOrigins(ctx context.Context, b *scenario.Run, r report.Table) error {
	allowed, err := cors.Parse([]string{"https://app.example.com", "https://*.example.org"})
	if err != nil {
		return fmt.Errorf("parse the origins: %w", err)
	}
	without := d.Handler()
	configured := *d.Endpoints
	configured.Origins = allowed
	with := configured.Handler()
	for _, at := range []struct {
		path     string
		requests [][]byte
	}{
		{"/verify", d.requests(http.MethodGet, "/verify?permission=search.query", "", nil)},
		{"/oauth2/introspect", d.requests(http.MethodPost, "/oauth2/introspect", "application/x-www-form-urlencoded", func(text string) string {
			return url.Values{"token": {text}}.Encode()
		})},
	} {
		v, err := d.compare(ctx, b, at.requests, []string{at.path + ", with allowed origins", at.path + ", without"}, with, without)
		if err != nil {
			return err
		}
		r.AddRatio(at.path+" with --cors-allowed-origins, beside without", v[0].Rate, "/s", v[1].Rate, report.AtLeast(minSameRate))
	}
	return nil
}
