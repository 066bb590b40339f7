package ui_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server/ui"
)

// reference matches a reference of a page.
var reference = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

var contentTypes = map[string]string{
	"/ui/":                     "text/html; charset=utf-8",
	"/ui/page.css":             "text/css; charset=utf-8",
	"/ui/init.js":              "text/javascript; charset=utf-8",
	"/ui/swagger-ui.css":       "text/css; charset=utf-8",
	"/ui/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	"/ui/favicon.png":          "image/png",
}

func TestPage_ReferencedFilesAreServedWithType(t *testing.T) {
	base := &url.URL{Path: "/ui/"}
	wanted := map[string]bool{"/ui/": true}
	for _, m := range reference.FindAllStringSubmatch(readSource(t, "index.html"), -1) {
		at, err := base.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if at.Path != "/openapi.json" { // not a file of this package
			wanted[at.Path] = true
		}
	}
	for path := range contentTypes {
		if !wanted[path] {
			t.Errorf("%s is served, and nothing refers to it", path)
		}
	}
	for path := range wanted {
		a := sendRequest(t, http.MethodGet, path)
		if a.status != 200 || len(a.body) == 0 || a.header.Get("Content-Type") != contentTypes[path] {
			t.Errorf("%s: %d, %d bytes of %q, want %q", path, a.status, len(a.body), a.header.Get("Content-Type"), contentTypes[path])
		}
	}
}

func TestPage_NamesNoOtherOriginAndHasNoInlineScript(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)[a-z]+://|["'(]//|url\(`)
	for _, name := range []string{"index.html", "page.css", "init.js"} {
		if found := elsewhere.FindString(readSource(t, name)); found != "" {
			t.Errorf("%s leads elsewhere, or might: %q", name, found)
		}
	}
	inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	if found := inline.FindString(readSource(t, "index.html")); found != "" {
		t.Errorf("index.html holds %q", found)
	}
}

func TestStyleSheet_LoadsNothing(t *testing.T) {
	from := regexp.MustCompile(`@import|url\(["']?([a-z]*:?)`)
	for _, m := range from.FindAllStringSubmatch(gunzip(t, "/ui/swagger-ui.css"), -1) {
		if m[1] != "data:" {
			t.Errorf("swagger-ui.css loads %q", m[0])
		}
	}
}

func TestSwaggerUI_ReadsOpenAPI31(t *testing.T) {
	if !strings.Contains(gunzip(t, "/ui/swagger-ui-bundle.js"), `PACKAGE_VERSION:"5.`) {
		t.Error("the bundle is not Swagger UI 5")
	}
}

func TestHandler_EveryResponseHasSecurityHeaders(t *testing.T) {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
	for _, path := range append(filePaths(), "/ui", "/ui/nothing") {
		a := sendRequest(t, http.MethodGet, path)
		for name, want := range map[string]string{
			"Content-Security-Policy": policy,
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
		} {
			if got := a.header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestHandler_RevalidationReturnsNotModified(t *testing.T) {
	tags := map[string]string{}
	for _, path := range filePaths() {
		first := sendRequest(t, http.MethodGet, path)
		tag := first.header.Get("Etag")
		if first.header.Get("Cache-Control") != "no-cache" || !regexp.MustCompile(`^"[\w-]{24}"$`).MatchString(tag) {
			t.Errorf("%s: %v", path, first.header)
		}
		if other, there := tags[tag]; there {
			t.Errorf("%s and %s have one tag", path, other)
		}
		tags[tag] = path
		for sent, want := range map[string]int{tag: 304, `"another", W/` + tag: 304, `"another"`: 200} {
			if again := sendRequest(t, http.MethodGet, path, "If-None-Match", sent); again.status != want || want == 304 && len(again.body) > 0 {
				t.Errorf("%s, If-None-Match: %s: %d and %d bytes, want %d", path, sent, again.status, len(again.body), want)
			}
		}
	}
}

func TestHandler_HEADHasNoBody(t *testing.T) {
	for _, path := range append(filePaths(), "/ui", "/ui/nothing") {
		get, head := sendRequest(t, http.MethodGet, path), sendRequest(t, http.MethodHead, path)
		if head.status != get.status || len(head.body) > 0 {
			t.Errorf("%s: %d and %d bytes, want %d and none", path, head.status, len(head.body), get.status)
		}
		for _, name := range []string{"Content-Type", "Content-Encoding", "Etag", "Cache-Control", "Location"} {
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("%s: %s is %q, want %q", path, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
}

func TestHandler_RedirectsWithoutSlash(t *testing.T) {
	a := sendRequest(t, http.MethodGet, "/ui?access_token=marker")
	if a.status != 307 || a.header.Get("Location") != "/ui/" || len(a.body) > 0 {
		t.Errorf("%d, Location %q, %q", a.status, a.header.Get("Location"), a.body)
	}
}

func TestHandler_AllowsOnlyGETAndHEAD(t *testing.T) {
	const want = `{"error":"invalid_request","error_description":"the methods are GET and HEAD"}` + "\n"
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "MARKER"} {
		for _, path := range []string{"/ui", "/ui/", "/ui/init.js"} {
			a := sendRequest(t, method, path)
			if a.status != 405 || a.header.Get("Allow") != "GET, HEAD" || a.body != want {
				t.Errorf("%s %s: %d, Allow %q, %s", method, path, a.status, a.header.Get("Allow"), a.body)
			}
		}
	}
}

func TestHandler_NotFoundEchoesNothing(t *testing.T) {
	const want = `{"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
	for what, path := range map[string]string{
		"another file":              "/ui/marker.js",
		"the page by its file name": "/ui/index.html",
		"a file of the library":     "/ui/swagger-ui.css.gz",
		"a file below a file":       "/ui/init.js/marker",
		"a way up":                  "/ui/../marker",
		"a way up and back":         "/ui/../ui/init.js",
		"a way up, encoded":         "/ui/%2e%2e/marker",
		"a way up, half encoded":    "/ui/.%2e/ui/",
		"a way up, encoded twice":   "/ui/%252e%252e/marker",
		"a way to nowhere":          "/ui/./init.js",
		"an encoded slash":          "/ui%2finit.js",
		"an encoded slash behind":   "/ui/%2F",
		"a backslash":               "/ui/..%5cmarker",
		"a letter that need not be": "/ui/%69nit.js",
		"NUL":                       "/ui/%00",
		"NUL behind a file":         "/ui/init.js%00",
		"a line break":              "/ui/%0d%0aMarker:%20marker",
		"two slashes":               "/ui//",
		"two slashes before":        "//ui/",
		"a host before":             "//marker/ui/",
		"another case":              "/UI/",
		"no UTF-8":                  "/ui/%ff%fe",
		"a script":                  "/ui/<script>marker</script>",
		"a semicolon":               "/ui/;marker",
		"a long path":               "/ui/" + strings.Repeat("marker", 2000),
		"a path of the server, not of this handler":  "/openapi.json",
		"a name that begins like a file of the page": "/uimarker",
		"a query that looks like the file":           "/ui/marker?/ui/init.js",
	} {
		w := httptest.NewRecorder()
		ui.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 404 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", what, w.Code, w.Header(), w.Body)
		}
		for name, values := range w.Header() {
			if strings.Contains(strings.ToLower(name+strings.Join(values, "")), "marker") {
				t.Errorf("%s: %s says %q", what, name, values)
			}
		}
	}
}

func filePaths() []string {
	var all []string
	for path := range contentTypes {
		all = append(all, path)
	}
	return all
}

func readSource(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type response struct {
	status int
	header http.Header
	body   string // as it was sent
}

// sendRequest sends one request, and follows no redirect. Headers come in pairs.
func sendRequest(t *testing.T, method, path string, headers ...string) response {
	t.Helper()
	server := httptest.NewServer(ui.Handler())
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{got.StatusCode, got.Header, string(body)}
}

// gunzip returns a file that is sent with gzip.
func gunzip(t *testing.T, path string) string {
	t.Helper()
	a := sendRequest(t, http.MethodGet, path)
	if a.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%s is not said to be compressed", path)
	}
	from, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
