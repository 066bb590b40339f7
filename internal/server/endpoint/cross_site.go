package endpoint

import (
	"net/http"
	"slices"
	"strings"
)

// IsCrossSite reports whether a browser sends a request for a page of another host. It goes by
// Sec-Fetch-Site, or in older browsers by Origin and Referer. An older browser sends no Origin with
// a GET that follows a link or loads an image, but it sends a Referer. Programs send none of the
// three.
func IsCrossSite(r *http.Request) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return slices.ContainsFunc(site, func(s string) bool { return s != "same-origin" && s != "none" })
	}
	for _, name := range []string{"Origin", "Referer"} {
		if pages := r.Header[name]; len(pages) > 0 {
			return slices.ContainsFunc(pages, func(page string) bool { return hostOf(page) != r.Host })
		}
	}
	return false
}

// hostOf returns the host and port of a page's URL, or an empty string.
func hostOf(page string) string {
	_, host, _ := strings.Cut(page, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return host
}
