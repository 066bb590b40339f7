package endpoint

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

// The reasons.
const (
	sourceKnown     unknownSource = iota
	NoPeer                        // the connection has no address
	UntrustedPeer                 // a peer that is no trusted proxy names the source
	headerMissing                 // a trusted proxy sends no header
	headerEmpty                   // a line of the header has no element
	headerMalformed               // a line of the header cannot be parsed
	NotAnAddress                  // an element has a name such as "unknown", or nothing
	sourceNotStated               // the request names no source for the credential
)

// String returns the value in the audit log.
func (u unknownSource) String() string {
	return [...]string{"", "NoPeer", "UntrustedPeer", "HeaderMissing", "HeaderEmpty", "HeaderMalformed", "NotAnAddress", "NotStated"}[u]
}

// Origin is where a request came from.
type Origin struct {
	Source       netip.Addr    // of the caller; zero if it is unknown
	Unknown      unknownSource // why the source is unknown
	Peer         netip.Addr    // of the connection; zero if it has none
	LimitAddress netip.Addr    // address that limits count the request under
}

// Origin returns where a request came from.
func (b *Base) Origin(r *http.Request) Origin {
	if b.UsesForwarded {
		return OriginOf(r.RemoteAddr, r.Header[headerForwarded], b.Trusted, ReadForwarded)
	}
	return OriginOf(r.RemoteAddr, r.Header[headerXForwardedFor], b.Trusted, ReadXForwardedFor)
}

// Source returns the address of the caller, or the zero Addr if it is unknown.
func (b *Base) Source(r *http.Request) netip.Addr { return b.Origin(r).Source }

// LimitAddress returns the address that limits count a request under.
func (b *Base) LimitAddress(r *http.Request) netip.Addr { return b.Origin(r).LimitAddress }

// WithOrigin sets the origin of a request in an audit event.
func (b *Base) WithOrigin(r *http.Request, line audit.Line) audit.Line {
	o := b.Origin(r)
	line.Source, line.Peer, line.SourceUnknown = o.Source, o.Peer, o.Unknown.String()
	return line
}

// WithoutSource returns the origin of a request about a credential, where the request does not name
// the address from which the credential was presented.
func (o Origin) WithoutSource() Origin {
	o.Source, o.Unknown = netip.Addr{}, sourceNotStated
	return o
}

// lineReader returns the address of a caller in a line of a header.
type lineReader func(line string, trusted []netip.Prefix) (netip.Addr, unknownSource)

// OriginOf returns where a request came from. Its source is the address of the connection, if that
// is no trusted proxy. Otherwise it is the last address in the lines of a header that is no trusted
// proxy. The source is unknown where an untrusted peer sends the header, or a trusted proxy sends
// none, or one without an address. Otherwise the address of the proxy would count as that of each
// of its callers. Source ranges that contain the proxy would then admit all of them.
//
// Limits count a request whose source is unknown under the address of the connection. Otherwise all
// of them would share one key, and one caller would use up the limits of all.
func OriginOf(remote string, lines []string, trusted []netip.Prefix, read lineReader) Origin {
	peer := PeerOf(remote)
	o := Origin{Source: peer, Peer: peer, LimitAddress: peer}
	isTrusted := ContainsAddress(trusted, peer)
	switch {
	case !peer.IsValid():
		o.Unknown = NoPeer
	case isTrusted && len(lines) == 0:
		o.Unknown = headerMissing
	case !isTrusted && len(lines) > 0:
		o.Unknown = UntrustedPeer
	}
	for i := len(lines) - 1; i >= 0 && o.Unknown == sourceKnown && ContainsAddress(trusted, o.Source); i-- {
		o.Source, o.Unknown = read(lines[i], trusted)
	}
	if o.Unknown != sourceKnown {
		o.Source = netip.Addr{}
		return o
	}
	o.LimitAddress = o.Source
	return o
}

// ReadXForwardedFor returns the last address of a line that is no trusted proxy, or the first if
// all are. It ignores empty elements (RFC 9110, section 5.6.1.2), but not a line that has nothing
// else.
func ReadXForwardedFor(line string, trusted []netip.Prefix) (netip.Addr, unknownSource) {
	source, why := netip.Addr{}, headerEmpty
	for more := true; more; {
		var last string
		line, last, more = cutLast(line)
		if last = strings.Trim(last, " \t"); last == "" {
			continue
		}
		hop, ok := parseNode(last)
		if !ok {
			return netip.Addr{}, NotAnAddress
		}
		if source, why = hop, sourceKnown; !ContainsAddress(trusted, hop) {
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

// PeerOf returns the address of a connection's remote end, or the zero Addr if it has none.
func PeerOf(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// ContainsAddress reports whether an address is in one of the ranges.
func ContainsAddress(trusted []netip.Prefix, a netip.Addr) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
