package endpoint

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// IssuerURL returns the URL under which callers reach the operator. Without --issuer, that is the
// host in the request, if it is one of the operator's own. A forged Host header, such as one that
// poisons a cache, must not make programs send tokens elsewhere. X-Forwarded-Host is ignored. If ok
// is false, issuer has written the response.
func (b *Base) IssuerURL(w http.ResponseWriter, r *http.Request) (string, bool) {
	switch {
	case b.Issuer != "":
		return b.Issuer, true
	case r.Host == "": // HTTP/1.0
		WriteError(w, http.StatusBadRequest, "invalid_request", "the request names no host")
		return "", false
	case !b.isOwnHost(r):
		WriteError(w, http.StatusMisdirectedRequest, "invalid_request",
			"the certificate is not for this host; ask for a name in the certificate, or have the operator run with --issuer")
		return "", false
	case r.TLS == nil:
		return "http://" + r.Host, true
	default:
		return "https://" + r.Host, true
	}
}

// IssuerPath returns the path of --issuer, such as "/tokens", or an empty string if it has none.
func (b *Base) IssuerPath() string {
	u, err := url.Parse(b.Issuer)
	if err != nil {
		return ""
	}
	return u.Path
}

// BelowIssuerPath returns a handler that serves all paths also below the path of --issuer, for
// gateways that pass that path on. Other gateways strip it.
func (b *Base) BelowIssuerPath(next http.Handler) http.Handler {
	base := b.IssuerPath()
	if base == "" {
		return next
	}
	stripped := http.StripPrefix(base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, base+"/") && (r.URL.RawPath == "" || strings.HasPrefix(r.URL.RawPath, base+"/")) {
			stripped.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOwnHost reports whether the Host of a request is the operator's own. It is a name in the
// serving certificate, at port 443 or the port of the listener. Over loopback it is a loopback
// name.
func (b *Base) isOwnHost(r *http.Request) bool {
	host, text, err := net.SplitHostPort(r.Host)
	if err != nil { // no port in Host
		host, text, err = net.SplitHostPort(r.Host + ":443")
	}
	port, parseErr := strconv.ParseUint(text, 10, 16)
	if err != nil || parseErr != nil {
		return false
	}
	local := localAddress(r)
	if local.Addr().IsLoopback() && isLoopback(host) {
		return true
	}
	return r.TLS != nil && (port == 443 || port == uint64(local.Port())) && b.IsOwnName != nil && b.IsOwnName(host)
}

// isLoopback reports whether a host is localhost or a loopback address.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// localAddress returns the local address of a request's connection, or the zero AddrPort if it is
// unknown.
func localAddress(r *http.Request) netip.AddrPort {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.AddrPort{}
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
