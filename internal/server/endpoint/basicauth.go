package endpoint

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/token"
)

// PasswordCredentials is a name and a password that a request presents.
type PasswordCredentials struct {
	Username     string
	Secret       password.Secret
	IsIntegrator bool // a user of several accounts, who must choose one
	Reuse        ReusePolicy
}

// ReusePolicy sets which check of the same name and password may answer a request.
type ReusePolicy int

// The policies. A login, which opens a token, has a check of its own.
const (
	ReuseNone    ReusePolicy = iota
	ReuseRunning             // one that runs now
	ReuseRecent              // one of the last minute, too
)

// BasicCredentials is the text in a header of the scheme Basic (RFC 7617) or Integrator. Both have
// the same format.
type BasicCredentials struct {
	text         string // a name, a colon and a password
	IsIntegrator bool
}

// ParseBasic parses a value of the header Authorization. Text that is not valid UTF-8 is Latin-1:
// programs send that where no challenge asked them for UTF-8. So there is one reading of each
// header, and one password to check. ok is false if the header holds no name and password.
func ParseBasic(value string) (c BasicCredentials, ok bool) {
	if len(value) > maxBasicHeader {
		return BasicCredentials{}, false
	}
	scheme, encoded, _ := strings.Cut(value, " ")
	c.IsIntegrator = strings.EqualFold(scheme, schemeIntegrator)
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil || !hasPasswordScheme(value) {
		return BasicCredentials{}, false
	}
	if c.text = string(decoded); !utf8.Valid(decoded) {
		c.text = fromLatin1(decoded)
	}
	return c, strings.Contains(c.text, ":")
}

// fromLatin1 returns a text in Latin-1 (ISO 8859-1), in which each byte is a code point.
func fromLatin1(text []byte) string {
	points := make([]rune, len(text))
	for i, b := range text {
		points[i] = rune(b)
	}
	return string(points)
}

// Token returns the token that is presented as the password, and the username that must name it.
// The username may hold colons, as the name of a declared token does: a token has none. ok is false
// if the password has not the form of a token.
func (c BasicCredentials) Token() (username, text string, ok bool) {
	colon := strings.LastIndexByte(c.text, ':')
	if colon < 0 || !token.IsWellFormed(c.text[colon+1:]) {
		return "", "", false
	}
	return login.NormalizeUsername(c.text[:colon]), c.text[colon+1:], true
}

// Password returns the name and the password. ok is false if no user can have such.
func (c BasicCredentials) Password() (n PasswordCredentials, ok bool) {
	username, presented, _ := strings.Cut(c.text, ":")
	if username == "" || len(username) > MaxUsername {
		return PasswordCredentials{}, false
	}
	secret, err := password.ParseSecret(presented)
	return PasswordCredentials{Username: login.NormalizeUsername(username), Secret: secret, IsIntegrator: c.IsIntegrator}, err == nil
}

const (
	schemeBasic      = "Basic"
	schemeIntegrator = "Integrator"
)

// hasPasswordScheme reports whether a value of Authorization is a name and a password.
func hasPasswordScheme(value string) bool {
	for _, scheme := range [...]string{schemeBasic, schemeIntegrator} {
		if len(value) >= len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) && (len(value) == len(scheme) || value[len(scheme)] == ' ') {
			return true
		}
	}
	return false
}

// PasswordInHeader returns the name and password in the Authorization header, by RFC 7617 or by the
// scheme Integrator, which has the same format. there reports whether the request has such a
// header. ok reports whether the header counts. A header beside a second one does not, since the
// two may differ. A browser may have added a stored password; pages of origins that are not allowed
// are refused before.
//
// It is for requests that ask for a name and a password. They ignore tokens in other headers.
func PasswordInHeader(r *http.Request) (n PasswordCredentials, there, ok bool) {
	values, value := r.Header["Authorization"], ""
	for _, v := range values {
		if hasPasswordScheme(v) {
			value, there = v, true
		}
	}
	if !there || len(values) > 1 {
		return PasswordCredentials{}, there, false
	}
	c, ok := ParseBasic(value)
	if !ok {
		return PasswordCredentials{}, true, false
	}
	n, ok = c.Password()
	return n, true, ok
}

// maxBasicHeader is the maximum size of a header with a name and a password, in bytes. The longest
// of both have less in base64. A longer header is refused before it is decoded.
const maxBasicHeader = 4 << 10

// MaxUsername is the maximum length of a username: 254 characters of up to four bytes.
const MaxUsername = 4 * 254

// ErrResponseWritten reports that the response was written.
var ErrResponseWritten = errors.New("refused")

// PasswordChallenge returns the challenge for a name and a password. A script of a page gets a
// Bearer challenge instead: on a Basic challenge, the browser would prompt for a password and store
// it.
func PasswordChallenge(r *http.Request) []string {
	if isPageRequest(r) {
		return BearerChallenge
	}
	return BasicChallenge
}

// TokenOrPasswordChallenge returns the challenges of an endpoint that accepts a token, or a name
// and a password. A script of a page gets the first alone, as in PasswordChallenge.
func TokenOrPasswordChallenge(r *http.Request) []string {
	if isPageRequest(r) {
		return BearerChallenge
	}
	return bearerAndBasicChallenge
}

// isPageRequest reports whether a script of a page, or a page of another site, makes a request.
func isPageRequest(r *http.Request) bool {
	mode := r.Header["Sec-Fetch-Mode"]
	return len(mode) > 0 && mode[0] != "navigate" || IsCrossSite(r)
}

// WriteUnauthorized writes a 401 with a challenge.
func WriteUnauthorized(w http.ResponseWriter, how []string) {
	w.Header()["Www-Authenticate"] = how
	WriteError(w, http.StatusUnauthorized, "unauthorized", "a token, or a name and a password, is required and was not accepted")
}
