package exchanges

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// exchange is one request of a client, and what the client finds in the answer. A {name} in the
// request stands for a value that an earlier exchange has kept, and {name:secret} for two of them,
// encoded as credentials.
type exchange struct {
	source string // title of the page, or name of the program
	does   string

	// isProtected marks a request to a service behind a gateway. The test asks /verify about it, as
	// the gateway does, with the target and the headers of the request.
	isProtected bool
	after       time.Duration // passes before the request
	send        string        // method and target
	headers     []string      // "Name: value"
	body        string

	status int
	// has lists what the client finds in the answer: a place, and a pattern if the value matters.
	// Places are "header Name", "cookie NAME", "attributes NAME" of a cookie, and "body". "member
	// path" is a member of a JSON body, and "element name" an element of an XML body.
	has []string
	// keep names the values of places for later exchanges and for has, as "name = place".
	keep []string
}

// conversation is a client in exchange with a server: later requests use values of earlier answers.
type conversation struct {
	*servertest.LoginServer
	kept map[string]string
}

// newConversation returns a conversation with a new server, whose users have the names
// {username} and {password}, as the pages write them.
func newConversation(t *testing.T, tune []func(*servertest.LoginServer)) *conversation {
	t.Helper()
	c := &conversation{LoginServer: servertest.NewUnstartedLoginServer(t), kept: map[string]string{}}
	for _, f := range tune {
		f(c.LoginServer)
	}
	c.Serve(httptest.NewServer)
	c.keepUser("", "alice")
	c.keepUser("second ", "erin")
	latin, err := charmap.ISO8859_1.NewEncoder().String(c.kept["second username"] + ":" + c.kept["second password"])
	if err != nil {
		t.Fatal(err)
	}
	c.kept["latin basic"] = base64.StdEncoding.EncodeToString([]byte(latin))
	c.kept["unknown basic"] = servertest.BasicCredentials("unknown", "wrong")
	c.kept["time"] = fmt.Sprint(c.Clock.Now().UnixMilli())
	return c
}

// keepUser keeps the name and password of a user, also encoded for Basic.
func (c *conversation) keepUser(prefix, user string) {
	c.kept[prefix+"username"], c.kept[prefix+"password"] = servertest.Usernames[user], servertest.Passwords[user]
	c.kept[prefix+"basic"] = servertest.BasicCredentials(servertest.Usernames[user], servertest.Passwords[user])
}

// run sends exchanges in their order, and fails for each answer that its client could not use. It
// calls tune on the server before the start.
func run(t *testing.T, all []exchange, tune ...func(*servertest.LoginServer)) {
	t.Helper()
	c := newConversation(t, tune)
	for _, x := range all {
		c.Clock.Advance(x.after)
		where := fmt.Sprintf("%s: %s: %s", x.source, x.does, x.send)
		if name := c.missing(x); name != "" {
			t.Errorf("%s: no exchange has kept %s", where, name)
			continue
		}
		method, target, _ := strings.Cut(x.send, " ")
		got := c.exchange(x, method, target)
		if got.Status != x.status {
			t.Errorf("%s: status %d in place of %d: %s", where, got.Status, x.status, described(got))
			continue
		}
		for _, each := range x.keep {
			name, place, _ := strings.Cut(each, " = ")
			value, is := find(got, place)
			if !is || value == "" {
				t.Errorf("%s: no %s: %s", where, place, described(got))
			}
			c.kept[name] = value
		}
		for _, each := range x.has {
			c.expect(where, got, each)
		}
	}
	c.CheckNoSecretInAudit()
}

// exchange sends a request, or asks about it at the verification endpoint.
func (c *conversation) exchange(x exchange, method, target string) servertest.Response {
	c.T.Helper()
	target = c.fill(target, url.PathEscape)
	options := []servertest.RequestOption{}
	kind := ""
	for _, line := range x.headers {
		name, value, _ := strings.Cut(line, ": ")
		if value = c.fill(value, func(s string) string { return s }); strings.EqualFold(name, "Content-Type") {
			kind = value
		}
		options = append(options, servertest.Header(http.CanonicalHeaderKey(name), value))
	}
	switch {
	case x.isProtected:
		options = append(options, servertest.Header("X-Forwarded-Method", method), servertest.Header("X-Forwarded-Uri", target))
		method, target = http.MethodGet, "/verify/-"+target
	case x.body != "":
		options = append(options, servertest.RawBody("", c.fill(x.body, escaperOf(kind))))
	}
	return c.Call(method, target, options...)
}

var placeholder = regexp.MustCompile(`\{[a-z][a-z :]*\}`)

// value returns the value that a placeholder stands for, or an empty string.
func (c *conversation) value(placeholder string) string {
	name, secret, isPair := strings.Cut(strings.Trim(placeholder, "{}"), ":")
	if !isPair {
		return c.kept[name]
	}
	if c.kept[name] == "" || c.kept[secret] == "" {
		return ""
	}
	return servertest.BasicCredentials(c.kept[name], c.kept[secret])
}

// missing returns a placeholder in a request for which no exchange has kept a value, or an empty
// string.
func (c *conversation) missing(x exchange) string {
	for _, found := range placeholder.FindAllString(x.send+strings.Join(x.headers, "")+x.body, -1) {
		if c.value(found) == "" {
			return found
		}
	}
	return ""
}

// fill puts kept values in place of their names.
func (c *conversation) fill(text string, escape func(string) string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string { return escape(c.value(found)) })
}

// escaperOf returns how a value is written in a body of a media type.
func escaperOf(kind string) func(string) string {
	switch {
	case strings.HasPrefix(kind, servertest.ContentTypeForm):
		return url.QueryEscape
	case strings.HasPrefix(kind, "application/json"):
		return func(s string) string {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always marshals
			}
			return strings.Trim(string(text), `"`)
		}
	case strings.Contains(kind, "xml"):
		return html.EscapeString
	default:
		return func(s string) string { return s }
	}
}

// expect fails unless an answer has what a client looks for.
func (c *conversation) expect(where string, got servertest.Response, what string) {
	c.T.Helper()
	kind, rest, _ := strings.Cut(what, " ")
	place, pattern := kind, rest
	if kind != "body" {
		var name string
		name, pattern, _ = strings.Cut(rest, " ")
		place += " " + name
	}
	value, is := find(got, place)
	if !is {
		c.T.Errorf("%s: no %s: %s", where, place, described(got))
		return
	}
	if pattern = c.fill(pattern, regexp.QuoteMeta); pattern != "" && !regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(value) {
		c.T.Errorf("%s: %s is %q, and does not match %s", where, place, tokenText.ReplaceAllString(value, "…"), tokenText.ReplaceAllString(pattern, "…"))
	}
}

var tokenText = regexp.MustCompile(`\bat[a-z]_\w+`)

// described returns an answer without its tokens.
func described(got servertest.Response) string {
	return tokenText.ReplaceAllString(fmt.Sprint(got.Header, " ", got.Body), "…")
}

// find returns the value at a place of an answer.
func find(got servertest.Response, place string) (value string, is bool) {
	kind, name, _ := strings.Cut(place, " ")
	switch kind {
	case "header":
		values := got.Header.Values(name)
		return strings.Join(values, ", "), len(values) > 0
	case "cookie":
		value, _, is = findCookie(got.Header, name)
		return value, is
	case "attributes":
		_, value, is = findCookie(got.Header, name)
		return value, is
	case "member":
		return findMember(got.Body, strings.Split(name, "."))
	case "element":
		// A client that reads elements by their local names does not look at the prefix.
		m := regexp.MustCompile(`<(?:\w+:)?` + name + `(?: [^>]*)?>([^<]*)<`).FindStringSubmatch(got.Body)
		if m == nil {
			return "", false
		}
		return html.UnescapeString(m[1]), true
	default:
		return strings.TrimSpace(got.Body), true
	}
}

// findCookie returns the value and the attributes of a cookie that an answer sets.
func findCookie(header http.Header, name string) (value, attributes string, is bool) {
	for _, line := range header["Set-Cookie"] {
		if value, is = strings.CutPrefix(line, name+"="); is {
			value, attributes, _ = strings.Cut(value, "; ")
			return value, attributes, true
		}
	}
	return "", "", false
}

// findMember returns a member of a JSON body. A string is returned as it is, and any other value as
// JSON.
func findMember(body string, path []string) (string, bool) {
	var at any
	if err := json.Unmarshal([]byte(body), &at); err != nil {
		return "", false
	}
	for _, name := range path {
		object, isObject := at.(map[string]any)
		next, is := object[name]
		if !isObject || !is {
			return "", false
		}
		at = next
	}
	if text, isText := at.(string); isText {
		return text, true
	}
	text, err := json.Marshal(at)
	return string(text), err == nil
}
