package endpoint

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
)

// PasswordCredentials is a name and a password that a request presents.
type PasswordCredentials struct {
	Username     string
	Secret       password.Secret
	IsIntegrator bool // a user of several accounts, who must choose one
}

// PasswordInHeader returns the name and password in the Authorization header, by RFC 7617 or by the
// scheme Integrator, which has the same format. there reports whether the request has such a
// header. ok reports whether the header counts. A header beside a second one does not, since the
// two may differ. A browser may have added a stored password; pages of origins that are not allowed
// are refused before.
func PasswordInHeader(r *http.Request) (n PasswordCredentials, there, ok bool) {
	values := r.Header["Authorization"]
	credentials := ""
	for _, value := range values {
		scheme, rest, _ := strings.Cut(value, " ")
		integrator := strings.EqualFold(scheme, "Integrator")
		if integrator || strings.EqualFold(scheme, "Basic") {
			n.IsIntegrator, credentials, there = integrator, strings.TrimLeft(rest, " "), true
		}
	}
	text, err := base64.StdEncoding.DecodeString(credentials)
	if !there || err != nil || len(values) > 1 {
		return PasswordCredentials{}, there, false
	}
	username, presented, found := strings.Cut(string(text), ":")
	if !found || username == "" || len(username) > MaxUsername {
		return PasswordCredentials{}, true, false
	}
	n.Username = login.NormalizeUsername(username)
	n.Secret, err = password.ParseSecret(presented)
	return n, true, err == nil
}

// MaxUsername is the maximum length of a username: 254 characters of up to four bytes.
const MaxUsername = 4 * 254

// ErrResponseWritten reports that the response was written.
var ErrResponseWritten = errors.New("refused")

// PasswordChallenge returns the challenge for a name and a password. A script of a page gets a
// Bearer challenge instead: on a Basic challenge, the browser would prompt for a password and store
// it.
func PasswordChallenge(r *http.Request) []string {
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 && mode[0] != "navigate" || IsCrossSite(r) {
		return BearerChallenge
	}
	return BasicChallenge
}

// WriteUnauthorized writes a 401 with a challenge.
func WriteUnauthorized(w http.ResponseWriter, how []string) {
	w.Header()["Www-Authenticate"] = how
	WriteError(w, http.StatusUnauthorized, "unauthorized", "a token, or a name and a password, is required and was not accepted")
}
