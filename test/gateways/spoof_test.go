package gateways_test

import (
	"net/http"
	"slices"
	"testing"
)

// spoofedHeaders holds headers that a caller may send to deceive the upstream.
var spoofedHeaders = []string{
	"X-Apptoken-Subject", "X-Apptoken-Client", "X-Apptoken-User", "X-Apptoken-Roles",
	"X-Apptoken-Permissions", "X-Apptoken-Token-Id", "X-Apptoken-Kind", "X-Apptoken-Something",
	"x-apptoken-user", "X-APPTOKEN-USER", "x-ApPtOkEn-rOlEs",
	"X_Apptoken_User", "x_apptoken_roles", "X-Apptoken_Roles", "X_Apptoken-Roles", "X_APPTOKEN_SOMETHING",
}

func TestGateways_RemoveSpoofedIdentity(t *testing.T) {
	const lie = "a lie"
	eachGateway(t, func(p *fixture) {
		// Some holders have few values of their own.
		for _, holder := range []string{"", "indexer", "betaprimary", "nothing"} {
			for _, name := range append(slices.Clone(spoofedHeaders), "all") {
				header := http.Header{}
				if holder != "" {
					header = p.bearerHeader(holder)
				}
				header[name] = []string{lie, lie}
				if name == "all" {
					for _, each := range spoofedHeaders {
						header[each] = []string{lie}
					}
				}
				got := p.send(callerRequest{header: header})
				if holder == "" {
					if got.status != http.StatusUnauthorized {
						p.Errorf("%s without a token: %d", name, got.status)
					}
					continue
				}
				if got.status == http.StatusBadRequest {
					continue // the gateway does not accept such a header
				}
				if got.upstream == nil {
					p.Errorf("%s beside a valid token: %d", name, got.status)
					continue
				}
				for there, values := range got.upstream.header {
					if there != "All" && slices.Contains(values, lie) {
						p.Errorf("%s of the caller reaches the upstream as %s, beside the token %s", name, there, holder)
					}
				}
				for there, want := range p.wantHeaders(holder) {
					if got.upstream.header.Get(there) != want {
						p.Errorf("beside %s of the caller, the upstream sees %s: %q, want %q", name, there, got.upstream.header[there], want)
					}
				}
			}
		}
	})
}

// Connection names headers that end at the next hop (RFC 9110, 7.6.1): a caller could make the
// gateway remove its own headers.
func TestGateways_KeepIdentityDespiteConnectionHeader(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		header := p.bearerHeader("indexer")
		header["Connection"] = []string{"close, X-Apptoken-Subject, x-apptoken-roles"}
		got := p.send(callerRequest{header: header})
		if got.upstream == nil {
			if got.status != http.StatusBadRequest {
				p.Errorf("%d", got.status)
			}
			return
		}
		for name, want := range p.wantHeaders("indexer") {
			if got.upstream.header.Get(name) != want {
				p.Errorf("the upstream sees %s: %q, want %q", name, got.upstream.header[name], want)
			}
		}
	})
}
