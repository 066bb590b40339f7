package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/apptoken/operator/internal/token"
)

// NameDigits is the number of digits by which the object of a token that the management API created
// ends.
const NameDigits = 20

// DigitsOfName returns the digits by which the name of the object ends, for a token of that name
// which the management API created: for a client, or for a user if user is not empty. Its 80 bits
// keep a caller from finding a name whose object is that of another. It does not allocate.
func DigitsOfName(client, user, name string) (digits [NameDigits]byte) {
	kind, whose := "client", client
	if user != "" {
		kind, whose = "user", user
	}
	text := make([]byte, 0, 256)
	for _, part := range [...]string{kind, "\x00", whose, "\x00", name} {
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	hex.Encode(digits[:], sum[:NameDigits/2])
	return digits
}

// checkBasic checks that a credential may be presented as a password, with a username that names
// it. Only an application token may: a login is already the result of a name and a password.
func (e *entry) checkBasic(c *Client, u *User, username string) Verdict {
	switch {
	case e.kind != token.Application && e.kind != token.UserApplication, !c.AllowsBasic:
		return BasicForbidden
	case !e.isNamed(c, u, username):
		return UsernameRefused
	default:
		return Valid
	}
}

// isNamed reports whether a username names an application token. It may be the name of the client,
// or of the token as namespace/name or namespace:name. It may also be client~name, with the name of
// the token in the management API. A token of a user is also named by the username of the user.
func (e *entry) isNamed(c *Client, u *User, username string) bool {
	subject := e.ownerRef.Subject
	if username == c.Name || u != nil && u.Username != "" && username == u.Username || isSubject(username, subject) {
		return true
	}
	client, name, _ := strings.Cut(username, "~")
	if client != c.Name || name == "" {
		return false
	}
	if isSubject(name, subject) {
		return true
	}
	user := ""
	if u != nil {
		user = u.Name
	}
	digits := DigitsOfName(c.Name, user, name)
	end := len(subject) - len(digits)
	return end > 0 && subject[end-1] == '-' && string(digits[:]) == subject[end:]
}

// isSubject reports whether a name is namespace/name or namespace:name of a subject.
func isSubject(name, subject string) bool {
	at := strings.IndexByte(subject, '/')
	return at > 0 && len(name) == len(subject) && name[:at] == subject[:at] && name[at+1:] == subject[at+1:] &&
		(name[at] == '/' || name[at] == ':')
}

// countBasic counts the clients that allow Basic, when the state of one of them changes.
func (x *Index) countBasic(before, after *Client) {
	if before.servesBasic() {
		x.basicClients.Add(-1)
	}
	if after.servesBasic() {
		x.basicClients.Add(1)
	}
}

// servesBasic reports whether a client accepts a name and a password now. A client that does not
// exist does not.
func (c *Client) servesBasic() bool { return c != nil && c.AllowsBasic && !c.Suspended }

// AllowsBasic reports whether any client accepts a name and a password at verification endpoints.
func (v *Verifier) AllowsBasic() bool { return v.index.basicClients.Load() > 0 }
