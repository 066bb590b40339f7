package audit

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Line is a line of the audit log. Fields without a value are omitted.
type Line struct {
	Event        Event      `json:"event"`
	CountedEvent Event      `json:"of,omitempty"`       // event of the lines that a summary counts
	Endpoint     string     `json:"endpoint,omitempty"` // endpoint that verified, as in the metrics
	Protocol     string     `json:"protocol,omitempty"` // login protocol
	Verdict      string     `json:"verdict,omitempty"`  // reason of a refusal
	Reason       string     `json:"reason,omitempty"`   // the verdict in words, which may change
	Source       netip.Addr `json:"source,omitzero"`    // address of the caller, if it is known
	// Peer is set if Source is unknown. It is the address of the connection. At NotStated it is the
	// address that asks, which a trusted proxy may have named.
	Peer netip.Addr `json:"peer,omitzero"`
	// SourceUnknown is the reason why the address of the caller is unknown.
	SourceUnknown string `json:"sourceUnknown,omitempty"`
	Token         string `json:"token,omitempty"` // ID of the record
	Predecessor   string `json:"predecessor,omitempty"`
	Kind          string `json:"kind,omitempty"`
	Object        string `json:"object,omitempty"` // namespace/name of the ApplicationToken
	Subject       string `json:"subject,omitempty"`
	Client        string `json:"client,omitempty"`
	From          string `json:"from,omitempty"` // client of the login that was exchanged
	User          string `json:"user,omitempty"` // User object's name, never what a caller sent
	By            string `json:"by,omitempty"`   // ID of the caller's credential, or "user NAME"
	RetryAfter    string `json:"retryAfter,omitempty"`
	Count         int    `json:"count,omitempty"` // lines that this one stands for, if several
}

// maxValue is the maximum length of a value in bytes: two of the longest Kubernetes names, and a
// slash.
const maxValue = 512

// truncate truncates text values. It drops Peer and SourceUnknown if the address of the caller is
// known.
func (l *Line) truncate() {
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

// writtenLine is a line with its time and logger.
type writtenLine struct {
	Time   string `json:"time"`
	Logger string `json:"logger"` // distinguishes audit lines from the operator's log in one stream
	Line
}

// encode returns a line with its newline.
func (l Line) encode(now time.Time) ([]byte, error) {
	l.truncate()
	text, err := json.Marshal(writtenLine{now.UTC().Format(time.RFC3339Nano), "audit", l})
	if err != nil {
		return nil, fmt.Errorf("encode an audit line: %w", err)
	}
	return append(text, '\n'), nil
}

// Check reports the first schema violation of a written line, or nil. A line must have the common
// keys, and may have those of its event and no others.
func Check(line []byte) error {
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		return fmt.Errorf("the line is not a JSON object: %w", err)
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
			return fmt.Errorf("%s: the value of %q is neither a string nor a number", name, key)
		}
	}
	for _, key := range commonKeys {
		if got[key] == nil {
			return fmt.Errorf("%s does not have the key %q", name, key)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"])); err != nil {
		return fmt.Errorf("%s: the time is not in the format of RFC 3339: %w", name, err)
	}
	return nil
}
