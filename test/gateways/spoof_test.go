package gateways_test

import (
	"net/http"
	"slices"
	"testing"
)

// spellings holds headers that a caller may send to deceive the upstream.
var spellings = []string{
	"X-Apptoken-Subject", "X-Apptoken-Client", "X-Apptoken-User", "X-Apptoken-Roles",
	"X-Apptoken-Permissions", "X-Apptoken-Token-Id", "X-Apptoken-Kind", "X-Apptoken-Something",
	"x-apptoken-user", "X-APPTOKEN-USER", "x-ApPtOkEn-rOlEs",
	"X_Apptoken_User", "x_apptoken_roles", "X-Apptoken_Roles", "X_Apptoken-Roles", "X_APPTOKEN_SOMETHING",
}

func TestWhatTheCallerSaysOfItselfDoesNotReachTheUpstream(t *testing.T) {
	const lie = "a lie"
	eachGateway(t, func(p *place) {
		// Some holders have few values of their own.
		for _, holder := range []string{"", "indexer", "betaprimary", "nothing"} {
			for _, name := range append(slices.Clone(spellings), "all") {
				header := http.Header{}
				if holder != "" {
					header = p.bearing(holder)
				}
				header[name] = []string{lie, lie}
				if name == "all" {
					for _, each := range spellings {
						header[each] = []string{lie}
					}
				}
				got := p.do(ask{header: header})
				if holder == "" {
					if got.status != http.StatusUnauthorized {
						p.Errorf("%s without a token: %d", name, got.status)
					}
					continue
				}
				if got.status == http.StatusBadRequest {
					continue // the gateway does not accept such a header
				}
				if got.arrived == nil {
					p.Errorf("%s beside a good token: %d", name, got.status)
					continue
				}
				for there, values := range got.arrived.header {
					if there != "All" && slices.Contains(values, lie) {
						p.Errorf("%s of the caller reaches the upstream as %s, beside the token %s", name, there, holder)
					}
				}
				for there, want := range p.told(holder) {
					if got.arrived.header.Get(there) != want {
						p.Errorf("beside %s of the caller, the upstream sees %s: %q, want %q", name, there, got.arrived.header[there], want)
					}
				}
			}
		}
	})
}

// Connection names headers that end at the next hop (RFC 9110, 7.6.1): a caller could make the
// gateway remove its own headers.
func TestACallerCannotHaveTheIdentityTakenOut(t *testing.T) {
	eachGateway(t, func(p *place) {
		header := p.bearing("indexer")
		header["Connection"] = []string{"close, X-Apptoken-Subject, x-apptoken-roles"}
		got := p.do(ask{header: header})
		if got.arrived == nil {
			if got.status != http.StatusBadRequest {
				p.Errorf("%d", got.status)
			}
			return
		}
		for name, want := range p.told("indexer") {
			if got.arrived.header.Get(name) != want {
				p.Errorf("the upstream sees %s: %q, want %q", name, got.arrived.header[name], want)
			}
		}
	})
}
