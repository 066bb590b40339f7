package loginapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestSpectrum_TokensEndAtRequestedTTL(t *testing.T) {
	for name, x := range map[string]struct {
		minutes string
		steps   []time.Duration // between uses
		good    bool
	}{
		"a session, not used for 30 minutes":       {"60", []time.Duration{30 * time.Minute}, false},
		"a session, a second before":               {"60", []time.Duration{30*time.Minute - time.Second}, true},
		"a session in use, at its end":             {"60", []time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute}, false},
		"a session in use, before its end":         {"60", []time.Duration{20 * time.Minute, 20 * time.Minute, 20*time.Minute - time.Second}, true},
		"a session in use that has no end":         {"0", slices.Repeat([]time.Duration{29 * time.Minute}, 100), true},
		"a session without an end that is not":     {"0", []time.Duration{30 * time.Minute}, false},
		"a session of a minute":                    {"1", []time.Duration{time.Minute}, false},
		"a session of as long as can be asked for": {"5270400", slices.Repeat([]time.Duration{29 * time.Minute}, 100), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := servertest.NewLoginServer(t)
			tok, id := h.SpectrumSession(x.minutes)
			good := false
			for _, step := range x.steps {
				h.Clock.Advance(step)
				good = h.IsValid(tok, servertest.Cookies("SESSION="+id))
			}
			if good != x.good {
				t.Errorf("good: %t", good)
			}
		})
	}
}

// A time-to-live has one spelling. [row 17]
func TestSpectrum_TTLIsDigitsAlone(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for text, status := range map[string]int{
		"60": 200, "1": 200, "5270400": 200, "5270401": 400, "-1": 400, "-0": 400, "01": 400, "00": 400, "+1": 400, "%2B1": 400, "1.5": 400, "1.0": 400, "1e3": 400, "0x10": 400, "1_000": 400,
		"%201": 400, "1%20": 400, "1%00": 400, "%FF": 400, "%EF%BC%91": 400, "NaN": 400, "Infinity": 400, "null": 400, "60m": 400, servertest.PasswordMark: 400,
		"9223372036854775807": 400, "9223372036854775808": 400, "153722867280912931": 400, "99999999999999999999999999": 400, strings.Repeat("1", 4000): 400,
		"": 404, "60/": 404, "60/1": 404, "%2F60": 404, ".": 404, "..": 404,
	} {
		for _, path := range []string{servertest.PathSessionToken, servertest.PathOpenToken} {
			before := h.Store.WriteCounts()
			got := h.Call(http.MethodGet, path+text, servertest.Basic("alice"))
			if got.Status != status || status == 400 && h.Members(got)["field"] != "ttlInMinutes" || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("%s%s: %d %s, want %d", path, text, got.Status, got.Body, status)
			}
			if got.Status != 200 && (h.Store.WriteCounts() != before || len(got.Header.Values("Set-Cookie")) > 0) {
				t.Errorf("%s%s: something was written, or set", path, text)
			}
		}
	}
	h.CheckNoSecretInAudit()
}
