package authz

import (
	"net/http"
	"net/netip"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// headerForwardedMethod is the header in which a gateway reports the method of the request that it
// holds back.
const headerForwardedMethod = "X-Forwarded-Method"

// forwardedMethod returns the method that a gateway reports, or an empty string. Several values
// name none: a gateway may have added its value to that of its caller.
func forwardedMethod(r *http.Request) string {
	if values := r.Header[headerForwardedMethod]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// passesPreflight reports whether a request that a gateway holds back is a preflight, which passes
// without a credential. A browser sends none with it, and the upstream decides which origins it
// allows. The method is that of the request, as the gateway reports it. Only a trusted proxy is
// believed: a caller that could choose the method would need no credential for any request.
func passesPreflight(trusted []netip.Prefix, gateway netip.Addr, method string, h http.Header) bool {
	return method == http.MethodOptions && endpoint.ContainsAddress(trusted, gateway) &&
		isSet(h["Origin"]) && isSet(h["Access-Control-Request-Method"]) && !hasCredential(h)
}

func isSet(values []string) bool { return len(values) == 1 && values[0] != "" }

// hasCredential reports whether a request presents a credential, valid or not. Then it is no
// preflight of a browser, and is verified.
func hasCredential(h http.Header) bool {
	for _, name := range endpoint.CredentialHeaders {
		if len(h[name]) > 0 {
			return true
		}
	}
	return len(h["Cookie"]) > 0
}

// nobody are the identity headers of a preflight: all are empty, so that they replace those of a
// caller.
var nobody [len(identityHeaders)]string
