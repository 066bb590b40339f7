package audit

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Line is one line of the audit log. Fields without a value are left out.
type Line struct {
	Event    Event      `json:"event"`
	Of       Event      `json:"of,omitempty"`       // the event of the lines that a summary counts
	Endpoint string     `json:"endpoint,omitempty"` // at which a credential was verified, as in the metrics
	Protocol string     `json:"protocol,omitempty"` // the login protocol
	Verdict  string     `json:"verdict,omitempty"`  // why it was refused
	Reason   string     `json:"reason,omitempty"`   // the same in words, which may change
	Source   netip.Addr `json:"source,omitzero"`    // address of the caller, where it can be told
	Peer     netip.Addr `json:"peer,omitzero"`      // where Source is unknown: address that asks, of the connection or, at NotTold, as a trusted proxy names it
	// SourceUnknown is why the address of the caller is unknown.
	SourceUnknown string `json:"sourceUnknown,omitempty"`
	Token         string `json:"token,omitempty"` // id of the record
	Predecessor   string `json:"predecessor,omitempty"`
	Kind          string `json:"kind,omitempty"`
	Object        string `json:"object,omitempty"` // namespace/name of the ApplicationToken
	Subject       string `json:"subject,omitempty"`
	Client        string `json:"client,omitempty"`
	From          string `json:"from,omitempty"` // client of the login that was exchanged
	User          string `json:"user,omitempty"` // name of the User object, never what somebody typed
	By            string `json:"by,omitempty"`   // id of the credential that did it, or "user NAME"
	RetryAfter    string `json:"retryAfter,omitempty"`
	Count         int    `json:"count,omitempty"` // how many lines this one stands for, where it is more than itself
}

// maxValue is how many bytes a value may have: the longest name of Kubernetes, twice and a slash.
const maxValue = 512

// bounded cuts the values that are texts, and leaves out what is told where the address of the caller is unknown.
func (l *Line) bounded() {
	if l.Source.IsValid() {
		l.Peer, l.SourceUnknown = netip.Addr{}, ""
	}
	for _, text := range []*string{
		&l.Endpoint, &l.Protocol, &l.Verdict, &l.Reason, &l.SourceUnknown, &l.Token, &l.Predecessor, &l.Kind, &l.Object,
		&l.Subject, &l.Client, &l.From, &l.User, &l.By, &l.RetryAfter,
	} {
		if len(*text) > maxValue {
			*text = strings.ToValidUTF8((*text)[:maxValue], "")
		}
	}
}

// written is a line as it is written.
type written struct {
	Time   string `json:"time"`
	Logger string `json:"logger"` // tells the line from those of the operator's log, which are in the same stream
	Line
}

// encode returns a line and its end.
func (l Line) encode(now time.Time) ([]byte, error) {
	l.bounded()
	text, err := json.Marshal(written{now.UTC().Format(time.RFC3339Nano), "audit", l})
	if err != nil {
		return nil, fmt.Errorf("encode an audit line: %w", err)
	}
	return append(text, '\n'), nil
}

// Check reports what is wrong with a line that was written: nil if it has the keys that its event may have, and no others.
func Check(line []byte) error {
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		return fmt.Errorf("this is no JSON object: %w", err)
	}
	name, ok := got["event"].(string)
	if _, known := schema[Event(name)]; !ok || !known {
		return fmt.Errorf("the event %q is not in the schema", name)
	}
	keys := Keys(Event(name))
	for key, value := range got {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("%s has the key %q, which is not in the schema of that event", name, key)
		}
		switch v := value.(type) {
		case string:
			if v == "" || len(v) > maxValue {
				return fmt.Errorf("%s: the value of %q has %d bytes", name, key, len(v))
			}
		case float64:
			if key != "count" {
				return fmt.Errorf("%s: the value of %q is a number", name, key)
			}
		default:
			return fmt.Errorf("%s: the value of %q is neither a text nor a number", name, key)
		}
	}
	for _, key := range common {
		if got[key] == nil {
			return fmt.Errorf("%s does not have the key %q", name, key)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"])); err != nil {
		return fmt.Errorf("%s: the time is not in the format of RFC 3339: %w", name, err)
	}
	return nil
}
