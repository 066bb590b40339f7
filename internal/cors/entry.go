package cors

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Limits of a host name (RFC 1035, section 2.3.4).
const (
	maxHost  = 253
	maxLabel = 63
)

// entry is an entry of the list.
type entry struct {
	scheme     string
	host       string // without the label that the wildcard stands for
	port       string // with its colon; empty for the default port
	isWildcard bool
}

// defaultPorts are the ports that browsers leave out of an origin, by scheme.
var defaultPorts = map[string]string{"https": "443", "http": "80"}

// maxQuoted is how much of an entry an error repeats, in bytes.
const maxQuoted = 300

// parseEntry parses an entry. The error names the entry and what to change.
func parseEntry(text string) (entry, error) {
	if strings.Contains(text, "@") { // the error does not repeat what may be a password
		return entry{}, errors.New(`an origin contains "@": remove the user name and the password`)
	}
	e, err := splitEntry(text)
	if err == nil {
		err = e.validateHost()
	}
	if err == nil {
		err = e.validateScheme()
	}
	if err != nil {
		return entry{}, fmt.Errorf("%q: %w", text[:min(len(text), maxQuoted)], err)
	}
	return e, nil
}

// splitEntry splits an entry into its parts.
func splitEntry(text string) (entry, error) {
	scheme, rest, hasScheme := strings.Cut(text, "://")
	host, port, hasPort := cutPort(rest)
	switch lower := strings.ToLower(text); {
	case text == "*":
		return entry{}, errors.New("a wildcard for all origins is not possible, because requests may have credentials: list each origin, or use a wildcard for one label, such as https://*.example.com")
	case lower == "null":
		return entry{}, errors.New("is the origin of sandboxed pages and local files of every site: list the origin of an https page")
	case !hasScheme:
		return entry{}, errors.New("has no scheme: an origin is a scheme and a host, such as https://app.example.com")
	case strings.ContainsAny(rest, `/?#\`):
		return entry{}, fmt.Errorf("is longer than an origin: write %s", normalize(text))
	case lower != text:
		return entry{}, fmt.Errorf("has upper-case letters: write %s", normalize(text))
	case defaultPorts[scheme] == "":
		return entry{}, errors.New("has another scheme than https: serve the page over https")
	case hasPort && port == defaultPorts[scheme]:
		return entry{}, fmt.Errorf("has the default port, which browsers leave out: write %s", normalize(text))
	case hasPort && !isPort(port):
		return entry{}, errors.New("has an invalid port: use a number from 1 to 65535, without leading zeros")
	}
	e := entry{scheme: scheme, host: host}
	if hasPort {
		e.port = ":" + port
	}
	e.host, e.isWildcard = strings.CutPrefix(host, "*.")
	return e, nil
}

// normalize returns an entry as browsers write an origin: in lower case, without a path and without
// the default port.
func normalize(text string) string {
	scheme, rest, _ := strings.Cut(strings.ToLower(text), "://")
	if end := strings.IndexAny(rest, `/?#\`); end >= 0 {
		rest = rest[:end]
	}
	if host, port, _ := cutPort(rest); port == defaultPorts[scheme] {
		rest = host
	}
	return scheme + "://" + rest
}

// cutPort splits the host from the port. The colons of an IPv6 address are in brackets.
func cutPort(text string) (host, port string, hasPort bool) {
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		return text[:colon], text[colon+1:], true
	}
	return text, "", false
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == text
}

// validateHost validates the host: a name in the form that browsers write, or an address.
func (e entry) validateHost() error {
	ascii, err := idna.Lookup.ToASCII(e.host)
	labels := strings.Split(e.host, ".")
	switch last := labels[len(labels)-1]; {
	case e.host == "":
		return errors.New("has no host: write a scheme and a host, such as https://app.example.com")
	case strings.Contains(e.host, "*"):
		return errors.New("has a wildcard in another place than the first label: use it for the whole first label, such as https://*.example.com")
	case strings.HasSuffix(e.host, "."):
		return fmt.Errorf("ends with a dot: write %s", e.with(strings.TrimRight(e.host, ".")))
	case strings.HasPrefix(e.host, "["), last != "" && strings.Trim(last, "0123456789") == "":
		return e.validateAddress()
	case ascii != e.host && err == nil:
		return fmt.Errorf("has a name that browsers write in ASCII: write %s", e.with(ascii))
	case len(e.host) > maxHost:
		return fmt.Errorf("has a host of more than %d characters", maxHost)
	}
	for _, label := range labels {
		if !isLabel(label) {
			return errors.New("has an invalid host: use labels of letters, digits and hyphens, such as https://app.example.com")
		}
	}
	return e.validateWildcard()
}

// with returns the entry with another host.
func (e entry) with(host string) string {
	if e.isWildcard {
		host = "*." + host
	}
	return e.scheme + "://" + host + e.port
}

// validateAddress validates a host that is an IP address.
func (e entry) validateAddress() error {
	text, isBracketed := strings.CutPrefix(e.host, "[")
	text, isClosed := strings.CutSuffix(text, "]")
	address, err := netip.ParseAddr(text)
	switch {
	case err != nil || isBracketed != isClosed || isBracketed != address.Is6() || address.Zone() != "":
		return errors.New("has an invalid address: write four numbers, such as https://192.0.2.7, or IPv6 in brackets, such as https://[2001:db8::7]")
	case e.isWildcard:
		return errors.New("has a wildcard in an address: list each address")
	case address.Is4In6() || address.String() != text:
		if address.Is6() {
			return errors.New("has an address that browsers write otherwise: write IPv6 in its shortest form, with hexadecimal digits alone")
		}
		return fmt.Errorf("has an address that browsers write otherwise: write %s", e.with(address.String()))
	}
	return nil
}

// validateWildcard validates the name behind a wildcard. Below a public suffix, such as com, co.uk
// or github.io, any attacker can get a name.
func (e entry) validateWildcard() error {
	if !e.isWildcard {
		return nil
	}
	if suffix, _ := publicsuffix.PublicSuffix(e.host); suffix == e.host {
		return fmt.Errorf("has a wildcard directly below %s, where anyone may get a name: name the domain, such as https://*.example.com, or list each origin", e.host)
	}
	return nil
}

// validateScheme validates that a page without TLS is on the user's own machine. Elsewhere, an
// attacker on the network could change such a page, and make it use its user's credentials.
func (e entry) validateScheme() error {
	if e.scheme == "https" || e.isLoopback() {
		return nil
	}
	return errors.New("is http, and anyone on the network between can change such a page: serve it over https; http is for localhost and loopback addresses only")
}

// isLoopback reports whether browsers resolve the host to the machine of the user.
func (e entry) isLoopback() bool {
	address, err := netip.ParseAddr(strings.Trim(e.host, "[]"))
	return e.host == "localhost" || strings.HasSuffix(e.host, ".localhost") || err == nil && address.IsLoopback()
}
