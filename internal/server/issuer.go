package server

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// issuer returns the URL under which callers reach the operator. Without --issuer, it is the host that the request names, if
// that is the operator's: whoever writes a Host header, such as a cache that is being poisoned, does not make programs send
// tokens elsewhere. X-Forwarded-Host never counts. Without an issuer the answer was written.
func (d *Doors) issuer(w http.ResponseWriter, r *http.Request) (string, bool) {
	switch {
	case d.Issuer != "":
		return d.Issuer, true
	case r.Host == "": // HTTP/1.0
		problem(w, http.StatusBadRequest, "invalid_request", "the request names no host")
		return "", false
	case !d.isOwnHost(r):
		problem(w, http.StatusMisdirectedRequest, "invalid_request",
			"the certificate is not for this host; ask for a name in the certificate, or have the operator run with --issuer")
		return "", false
	case r.TLS == nil:
		return "http://" + r.Host, true
	default:
		return "https://" + r.Host, true
	}
}

// isOwnHost reports whether the host of a request is one that the operator is known by: a name in its certificate, at the port
// of HTTPS or the one that it listens at; or, over loopback, a name of that.
func (d *Doors) isOwnHost(r *http.Request) bool {
	host, text, err := net.SplitHostPort(r.Host)
	if err != nil { // it names no port
		host, text, err = net.SplitHostPort(r.Host + ":443")
	}
	port, parseErr := strconv.ParseUint(text, 10, 16)
	if err != nil || parseErr != nil {
		return false
	}
	local := localOf(r)
	if local.Addr().IsLoopback() && isLoopback(host) {
		return true
	}
	return r.TLS != nil && (port == 443 || port == uint64(local.Port())) && d.IsOwnName != nil && d.IsOwnName(host)
}

// isLoopback reports whether a host is this one, seen from itself.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// localOf returns the address at which a request arrived; the zero AddrPort if that is unknown.
func localOf(r *http.Request) netip.AddrPort {
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
