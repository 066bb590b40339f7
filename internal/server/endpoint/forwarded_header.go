package endpoint

import (
	"net/netip"
	"strings"
)

// ReadForwarded is ReadXForwardedFor for a line of Forwarded (RFC 7239). It reads a line from the
// start, since the meaning of a comma depends on the quotes before it. A caller that leaves a quote
// open makes the line malformed; it cannot hide a proxy.
func ReadForwarded(line string, trusted []netip.Prefix) (netip.Addr, unknownSource) {
	source, why := netip.Addr{}, headerEmpty
	for line != "" {
		e, rest, ok := cutElement(line)
		if !ok {
			return netip.Addr{}, headerMalformed
		}
		line = rest
		if e.pairs == 0 {
			continue
		}
		hop, isAddress := netip.Addr{}, false
		if e.nodes == 1 {
			hop, isAddress = parseNode(e.node)
		}
		switch {
		case !isAddress:
			source, why = netip.Addr{}, NotAnAddress
		case why == headerEmpty || !ContainsAddress(trusted, hop):
			source, why = hop, sourceKnown
		}
	}
	return source, why
}

// element is the part of Forwarded that one proxy adds.
type element struct {
	node  string // value of the parameter "for"
	nodes int    // number of parameters named "for"
	pairs int    // number of parameters
}

// cutElement cuts the first element off a line. ok is false if the element is malformed.
func cutElement(line string) (e element, rest string, ok bool) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line != "" && line[0] != ';' && line[0] != ',' {
			var name, value string
			if name, value, line, ok = cutPair(line); !ok {
				return element{}, "", false
			}
			e.pairs++
			if strings.EqualFold(name, "for") {
				e.node, e.nodes = value, e.nodes+1
			}
			line = strings.TrimLeft(line, " \t")
		}
		switch {
		case line == "":
			return e, "", true
		case line[0] == ',':
			return e, line[1:], true
		case line[0] != ';':
			return element{}, "", false
		}
		line = line[1:]
	}
}

// cutPair cuts a name and a value off a line. An address in quotes has no escapes, so escapes are
// kept.
func cutPair(line string) (name, value, rest string, ok bool) {
	name, rest, ok = strings.Cut(line, "=")
	if !ok || name == "" || rest == "" || strings.ContainsAny(name, " \t,;\"") {
		return "", "", "", false
	}
	if rest[0] != '"' {
		end := strings.IndexAny(rest, " \t,;\"")
		if end < 0 {
			end = len(rest)
		}
		return name, rest[:end], rest[end:], end > 0
	}
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			return name, rest[1:i], rest[i+1:], true
		}
	}
	return "", "", "", false
}
