package servertest

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

// ContentTypeForm is the media type of an HTML form.
const ContentTypeForm = "application/x-www-form-urlencoded"

// CredentialCookie is the cookie with a credential, up to its value.
const CredentialCookie = "spectrum.authentication.token="

// RememberMeCookie is the cookie that a login of Funnelback sets, up to its value.
const RememberMeCookie = "SPRING_SECURITY_REMEMBER_ME_COOKIE="

// RequestOption is an option of a test request.
type RequestOption func(*http.Request)

// Header adds values of a header.
func Header(name string, values ...string) RequestOption {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], values...) }
}

// Bearer presents a token in Authorization.
func Bearer(tok string) RequestOption { return Header("Authorization", "Bearer "+tok) }

// Authentication presents a token in the header Authentication.
func Authentication(tok string) RequestOption { return Header("Authentication", "Bearer "+tok) }

// SecurityToken presents a token in X-Security-Token.
func SecurityToken(tok string) RequestOption { return Header("X-Security-Token", tok) }

// Cookies sends cookies in one header.
func Cookies(all ...string) RequestOption { return Header("Cookie", strings.Join(all, "; ")) }

// WithForwardedFor replaces the address of the caller.
func WithForwardedFor(address string) RequestOption {
	return func(r *http.Request) { r.Header.Set("X-Forwarded-For", address) }
}

// BasicCredentials returns a name and a password as in the Authorization header.
func BasicCredentials(name, text string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + text))
}

// Basic authenticates a user by name and password.
func Basic(user string) RequestOption {
	return Header("Authorization", "Basic "+BasicCredentials(Usernames[user], Passwords[user]))
}

// Integrator is Basic by the scheme Integrator.
func Integrator(user string) RequestOption {
	return Header("Authorization", "Integrator "+BasicCredentials(Usernames[user], Passwords[user]))
}

// CredentialFields returns the fields with a user's name and password.
func CredentialFields(user string) []string {
	return []string{"username", Usernames[user], "password", Passwords[user]}
}

// AppendFields returns fields with more fields added.
func AppendFields(fields []string, more ...string) []string {
	return append(append([]string{}, fields...), more...)
}

// RawBody sets a body and its Content-Type.
func RawBody(kind, text string) RequestOption {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
	}
}

// FormBody sets a form of names and values, in pairs.
func FormBody(pairs ...string) RequestOption {
	var written []string
	for i := 0; i+1 < len(pairs); i += 2 {
		written = append(written, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return RawBody(ContentTypeForm, strings.Join(written, "&"))
}

// MultipartBody sets a multipart form of names and values, in pairs.
func MultipartBody(pairs ...string) RequestOption {
	var text strings.Builder
	w := multipart.NewWriter(&text)
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := w.WriteField(pairs[i], pairs[i+1]); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return RawBody(w.FormDataContentType(), text.String())
}

// JSONBody sets a body in JSON.
func JSONBody(text string) RequestOption { return RawBody("application/json", text) }

// QueryString sets the query.
func QueryString(query string) RequestOption { return func(r *http.Request) { r.URL.RawQuery = query } }

// Combined applies two options.
func Combined(first, second RequestOption) RequestOption {
	return func(r *http.Request) {
		first(r)
		second(r)
	}
}

// TokenForm returns a form with a token.
func TokenForm(token string) url.Values { return url.Values{"token": {token}} }

// UnknownRefreshToken returns a refresh token that was never issued.
func UnknownRefreshToken(t *testing.T) string {
	t.Helper()
	minted, err := token.Mint(token.Refresh, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return minted.Reveal()
}

// PasswordGrant returns the fields of the password grant.
func PasswordGrant(user string, more ...string) []string {
	return AppendFields(AppendFields(CredentialFields(user), "grant_type", "password"), more...)
}
