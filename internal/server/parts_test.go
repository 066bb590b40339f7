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

func header(name string, values ...string) part {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], values...) }
}

func bearer(tok string) part         { return header("Authorization", "Bearer "+tok) }
func authentication(tok string) part { return header("Authentication", "Bearer "+tok) }
func security(tok string) part       { return header("X-Security-Token", tok) }
func cookies(all ...string) part     { return header("Cookie", strings.Join(all, "; ")) }

func from(address string) part {
	return func(r *http.Request) { r.Header.Set("X-Forwarded-For", address) }
}

// encoded returns a name and a password as in the Authorization header.
func encoded(name, text string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + text))
}

// basic and integrator authenticate a user by name and password.
func basic(user string) part {
	return header("Authorization", "Basic "+encoded(usernames[user], passwords[user]))
}

func integrator(user string) part {
	return header("Authorization", "Integrator "+encoded(usernames[user], passwords[user]))
}

// credentials returns the fields with a user's name and password.
func credentials(user string) []string {
	return []string{"username", usernames[user], "password", passwords[user]}
}

// with returns fields with more fields added.
func with(fields []string, more ...string) []string {
	return append(append([]string{}, fields...), more...)
}

// raw sets a body and its Content-Type.
func raw(kind, text string) part {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
	}
}

// fielded sets a form of names and values, in pairs.
func fielded(pairs ...string) part {
	var written []string
	for i := 0; i+1 < len(pairs); i += 2 {
		written = append(written, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return raw(urlencoded, strings.Join(written, "&"))
}

// parted sets the same as a multipart form.
func parted(pairs ...string) part {
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
	return raw(w.FormDataContentType(), text.String())
}

func object(text string) part { return raw("application/json", text) }

// addressed sets the query.
func addressed(query string) part { return func(r *http.Request) { r.URL.RawQuery = query } }

// both applies two options.
func both(first, second part) part {
	return func(r *http.Request) {
		first(r)
		second(r)
	}
}
