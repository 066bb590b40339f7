package server_test

import (
	"encoding/base64"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// Options for test requests.

func header(name string, values ...string) requestOption {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], values...) }
}

func bearer(tok string) requestOption { return header("Authorization", "Bearer "+tok) }

func authentication(tok string) requestOption { return header("Authentication", "Bearer "+tok) }

func securityToken(tok string) requestOption { return header("X-Security-Token", tok) }

func cookies(all ...string) requestOption { return header("Cookie", strings.Join(all, "; ")) }

func withForwardedFor(address string) requestOption {
	return func(r *http.Request) { r.Header.Set("X-Forwarded-For", address) }
}

// basicCredentials returns a name and a password as in the Authorization header.
func basicCredentials(name, text string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + text))
}

// basic and integrator authenticate a user by name and password.
func basic(user string) requestOption {
	return header("Authorization", "Basic "+basicCredentials(usernames[user], passwords[user]))
}

func integrator(user string) requestOption {
	return header("Authorization", "Integrator "+basicCredentials(usernames[user], passwords[user]))
}

// credentialFields returns the fields with a user's name and password.
func credentialFields(user string) []string {
	return []string{"username", usernames[user], "password", passwords[user]}
}

// appendFields returns fields with more fields added.
func appendFields(fields []string, more ...string) []string {
	return append(append([]string{}, fields...), more...)
}

// rawBody sets a body and its Content-Type.
func rawBody(kind, text string) requestOption {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
	}
}

// formBody sets a form of names and values, in pairs.
func formBody(pairs ...string) requestOption {
	var written []string
	for i := 0; i+1 < len(pairs); i += 2 {
		written = append(written, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return rawBody(urlencoded, strings.Join(written, "&"))
}

// multipartBody sets the same as a multipart form.
func multipartBody(pairs ...string) requestOption {
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
	return rawBody(w.FormDataContentType(), text.String())
}

func jsonBody(text string) requestOption { return rawBody("application/json", text) }

// queryString sets the query.
func queryString(query string) requestOption { return func(r *http.Request) { r.URL.RawQuery = query } }

// combined applies two options.
func combined(first, second requestOption) requestOption {
	return func(r *http.Request) {
		first(r)
		second(r)
	}
}
