package server

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/apptoken/operator/internal/audit"
)

// Headers in which a proxy names the address of its caller. Trusted proxies are believed in one of
// them alone: most proxies write one, and forward what callers write into the other.
const (
	headerXForwardedFor = "X-Forwarded-For"
	headerForwarded     = "Forwarded"
)

// unknownSource is the reason why the address of a caller is unknown.
type unknownSource uint8

const (
	sourceKnown     unknownSource = iota
	noPeer                        // the connection has no address
	untrustedPeer                 // a peer that is no trusted proxy names the source
	headerMissing                 // a trusted proxy sends no header
	headerEmpty                   // a line of the header has no element
	headerMalformed               // a line of the header cannot be parsed
	notAnAddress                  // an element has a name such as "unknown", or nothing
	sourceNotStated               // the request names no source for the credential
)

// String returns the value in the audit log.
func (u unknownSource) String() string {
	return [...]string{"", "NoPeer", "UntrustedPeer", "HeaderMissing", "HeaderEmpty", "HeaderMalformed", "NotAnAddress", "NotStated"}[u]
}

// origin is where a request came from.
type origin struct {
	source       netip.Addr    // of the caller; zero if it is unknown
	unknown      unknownSource // why the source is unknown
	peer         netip.Addr    // of the connection; zero if it has none
	limitAddress netip.Addr    // address that limits count the request under
}

// origin returns where a request came from.
func (b *Base) origin(r *http.Request) origin {
	if b.UsesForwarded {
		return originOf(r.RemoteAddr, r.Header[headerForwarded], b.Trusted, readForwarded)
	}
	return originOf(r.RemoteAddr, r.Header[headerXForwardedFor], b.Trusted, readXForwardedFor)
}

// source returns the address of the caller, or the zero Addr if it is unknown.
func (b *Base) source(r *http.Request) netip.Addr { return b.origin(r).source }

// limitAddress returns the address that limits count a request under.
func (b *Base) limitAddress(r *http.Request) netip.Addr { return b.origin(r).limitAddress }

// withOrigin sets the origin of a request in an audit event.
func (b *Base) withOrigin(r *http.Request, line audit.Line) audit.Line {
	o := b.origin(r)
	line.Source, line.Peer, line.SourceUnknown = o.source, o.peer, o.unknown.String()
	return line
}

// withoutSource returns the origin of a request about a credential, where the request does not name
// the address from which the credential was presented.
func (o origin) withoutSource() origin {
	o.source, o.unknown = netip.Addr{}, sourceNotStated
	return o
}

// lineReader returns the address of a caller in a line of a header.
type lineReader func(line string, trusted []netip.Prefix) (netip.Addr, unknownSource)

// originOf returns where a request came from. Its source is the address of the connection, if that
// is no trusted proxy. Otherwise it is the last address in the lines of a header that is no trusted
// proxy. The source is unknown where an untrusted peer sends the header, or a trusted proxy sends
// none, or one without an address. Otherwise the address of the proxy would count as that of each
// of its callers. Source ranges that contain the proxy would then admit all of them.
//
// Limits count a request whose source is unknown under the address of the connection. Otherwise all
// of them would share one key, and one caller would use up the limits of all.
func originOf(remote string, lines []string, trusted []netip.Prefix, read lineReader) origin {
	peer := peerOf(remote)
	o := origin{source: peer, peer: peer, limitAddress: peer}
	isTrusted := containsAddress(trusted, peer)
	switch {
	case !peer.IsValid():
		o.unknown = noPeer
	case isTrusted && len(lines) == 0:
		o.unknown = headerMissing
	case !isTrusted && len(lines) > 0:
		o.unknown = untrustedPeer
	}
	for i := len(lines) - 1; i >= 0 && o.unknown == sourceKnown && containsAddress(trusted, o.source); i-- {
		o.source, o.unknown = read(lines[i], trusted)
	}
	if o.unknown != sourceKnown {
		o.source = netip.Addr{}
		return o
	}
	o.limitAddress = o.source
	return o
}

// readXForwardedFor returns the last address of a line that is no trusted proxy, or the first if
// all are. It ignores empty elements (RFC 9110, section 5.6.1.2), but not a line that has nothing
// else.
func readXForwardedFor(line string, trusted []netip.Prefix) (netip.Addr, unknownSource) {
	source, why := netip.Addr{}, headerEmpty
	for more := true; more; {
		var last string
		line, last, more = cutLast(line)
		if last = strings.Trim(last, " \t"); last == "" {
			continue
		}
		hop, ok := parseNode(last)
		if !ok {
			return netip.Addr{}, notAnAddress
		}
		if source, why = hop, sourceKnown; !containsAddress(trusted, hop) {
			break
		}
	}
	return source, why
}

// cutLast splits a list at its last comma. more reports whether elements are left.
func cutLast(list string) (rest, last string, more bool) {
	if comma := strings.LastIndexByte(list, ','); comma >= 0 {
		return list[:comma], list[comma+1:], true
	}
	return "", list, false
}

// parseNode parses an address with or without a port, as Azure's gateways write it. An IPv6 address
// with a port is in brackets, and one without may be. The port may be an obfuscated one, which
// begins with "_" (RFC 7239, section 6).
func parseNode(text string) (netip.Addr, bool) {
	host, port := text, ""
	switch {
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 || !strings.Contains(text[:end], ":") {
			return netip.Addr{}, false
		}
		host, port = text[1:end], text[end+1:]
	case strings.Count(text, ":") == 1:
		colon := strings.IndexByte(text, ':')
		host, port = text[:colon], text[colon:]
	}
	if port != "" && (port[0] != ':' || !isPort(port[1:])) {
		return netip.Addr{}, false
	}
	address, _ := netip.ParseAddr(host) //nolint:errcheck // zero on an error
	return address.Unmap().WithZone(""), address.IsValid()
}

func isPort(text string) bool {
	if name, isObfuscated := strings.CutPrefix(text, "_"); isObfuscated {
		return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	}
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// peerOf returns the address of a connection's remote end, or the zero Addr if it has none.
func peerOf(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

func containsAddress(trusted []netip.Prefix, a netip.Addr) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
