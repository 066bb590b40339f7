package endpoint

import (
	"net/http"
	"slices"
	"strings"
)

// IsCrossSite reports whether a browser sends a request for a page of another origin, whether it is
// allowed or not. It goes by Sec-Fetch-Site, or in older browsers by Origin and Referer. An older
// browser sends no Origin with a GET that follows a link or loads an image, but it sends a Referer.
// Programs send none of the three.
func IsCrossSite(r *http.Request) bool { return isCrossSite(r, "") }

// isCrossSite is IsCrossSite for an operator whose callers know it by an issuer URL.
func isCrossSite(r *http.Request, issuer string) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return slices.ContainsFunc(site, func(s string) bool { return s != "same-origin" && s != "none" })
	}
	for _, name := range []string{"Origin", "Referer"} {
		if pages := r.Header[name]; len(pages) > 0 {
			return slices.ContainsFunc(pages, func(page string) bool { return !isOwnPage(page, r, issuer) })
		}
	}
	return false
}

// isOwnPage reports whether the URL of a page has the origin of the operator: the host of the
// request, or the issuer, since a gateway may change the host. Over TLS, a page of that host
// without TLS is another origin, which an attacker on the network can change.
func isOwnPage(page string, r *http.Request, issuer string) bool {
	scheme, host := originOf(page)
	if host == "" {
		return false
	}
	if host == r.Host && (r.TLS == nil || scheme == "https") {
		return true
	}
	ownScheme, ownHost := originOf(issuer)
	return scheme == ownScheme && host == ownHost
}

// originOf returns the scheme, and the host with its port, of a page's URL.
func originOf(page string) (scheme, host string) {
	scheme, host, _ = strings.Cut(page, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return scheme, host
}

// Page is the page for which a browser sends a request, by the origin of the page.
type Page uint8

// The pages.
const (
	OwnPage     Page = iota // no page, or one of the operator's own origin
	AllowedPage             // a page of another origin that the administrator allows
	RefusedPage             // a page of any other origin
)

// PageOf returns the page for which a request is sent. Only the header Origin can name an allowed
// page: a browser sends it with each request whose response a page of another origin may read. It
// sends none with a request by a link or an image, which any page can cause.
func (b *Base) PageOf(r *http.Request) Page {
	switch {
	case !isCrossSite(r, b.Issuer):
		return OwnPage
	case b.AllowedOrigin(r) != "":
		return AllowedPage
	default:
		return RefusedPage
	}
}

// AllowedOrigin returns the Origin of a request if the administrator allows it, and an empty string
// otherwise. A request with several names none.
func (b *Base) AllowedOrigin(r *http.Request) string {
	if origins := r.Header["Origin"]; len(origins) == 1 && b.Origins.Contains(origins[0]) {
		return origins[0]
	}
	return ""
}

// SetCookie sets a cookie for all paths, which scripts cannot read. A browser sends it with
// requests of this site's pages alone. For an allowed page of another site, it sends it with all
// requests that it makes while that site is in the address bar (Partitioned). Browsers that block
// cookies of third parties accept such a cookie and no other. They drop it unless it is Secure.
// Over HTTP they accept a Secure one from loopback addresses.
func (b *Base) SetCookie(w http.ResponseWriter, r *http.Request, c http.Cookie) {
	// Without TLS, on loopback alone, some browsers would drop a Secure cookie.
	c.Path, c.HttpOnly, c.Secure, c.SameSite = "/", true, r.TLS != nil || strings.HasPrefix(b.Issuer, "https://"), http.SameSiteLaxMode
	if b.PageOf(r) == AllowedPage && !isSameSite(r) {
		c.Secure, c.SameSite, c.Partitioned = true, http.SameSiteNoneMode, true
	}
	http.SetCookie(w, &c)
}

// isSameSite reports whether a browser states that the page of a request is of the same site, such
// as another host of the same domain.
func isSameSite(r *http.Request) bool {
	site := r.Header["Sec-Fetch-Site"]
	return len(site) == 1 && site[0] == "same-site"
}
