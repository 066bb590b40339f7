package cors

import (
	"errors"
	"strings"
)

// maxOrigin is the maximum length of an origin in bytes: a scheme, the longest host name, and a
// port.
const maxOrigin = len("https://") + maxHost + len(":65535")

// Origins is a set of origins. The zero Origins is empty. It is not modified after Parse, so
// concurrent use is safe.
type Origins struct {
	exact   map[string]bool
	parents map[parent]bool // of the wildcards
}

// parent is an origin without the first label of its host: the wildcard stands for that label.
type parent struct{ scheme, rest string }

// Parse returns the set of the origins in a list. An entry is an origin, or an origin whose first
// label is a wildcard, which stands for exactly one label. The error has a line for each invalid
// entry.
func Parse(list []string) (Origins, error) {
	var all Origins
	var errs []error
	for _, text := range list {
		e, err := parseEntry(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all.add(e)
	}
	if len(errs) > 0 {
		return Origins{}, errors.Join(errs...)
	}
	return all, nil
}

func (o *Origins) add(e entry) {
	if !e.isWildcard {
		if o.exact == nil {
			o.exact = map[string]bool{}
		}
		o.exact[e.scheme+"://"+e.host+e.port] = true
		return
	}
	if o.parents == nil {
		o.parents = map[parent]bool{}
	}
	o.parents[parent{e.scheme, e.host + e.port}] = true
}

// IsEmpty reports whether the set contains no origin.
func (o Origins) IsEmpty() bool { return len(o.exact) == 0 && len(o.parents) == 0 }

// Contains reports whether the set contains an origin, as a browser writes it.
func (o Origins) Contains(origin string) bool {
	if len(origin) > maxOrigin {
		return false
	}
	if o.exact[origin] {
		return true
	}
	if len(o.parents) == 0 {
		return false
	}
	scheme, host, _ := strings.Cut(origin, "://")
	label, rest, _ := strings.Cut(host, ".")
	return isLabel(label) && o.parents[parent{scheme, rest}]
}

// isLabel reports whether text is one label of a host name, as browsers write it. Some intranets
// have names with an underscore.
func isLabel(text string) bool {
	if text == "" || len(text) > maxLabel {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
