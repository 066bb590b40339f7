package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"

	"github.com/swaggest/swgui/v5/static"
)

//go:embed index.html page.css init.js
var embeddedFiles embed.FS

// staticFile is a static file, ready to be sent.
type staticFile struct {
	body     string
	kind     []string // Content-Type
	encoding []string // Content-Encoding; empty means none
	tag      []string // ETag, which is derived from the body
}

// staticFiles returns all files by path. A compressed file is sent compressed, whatever the browser
// accepts: every browser accepts gzip. Otherwise one short request could make the server decompress
// megabytes.
func staticFiles() map[string]staticFile {
	return map[string]staticFile{
		"/ui/":                     loadFile(embeddedFiles, "index.html", "text/html; charset=utf-8"),
		"/ui/page.css":             loadFile(embeddedFiles, "page.css", "text/css; charset=utf-8"),
		"/ui/init.js":              loadFile(embeddedFiles, "init.js", "text/javascript; charset=utf-8"),
		"/ui/swagger-ui.css":       loadFile(static.FS, "swagger-ui.css.gz", "text/css; charset=utf-8", "gzip"),
		"/ui/swagger-ui-bundle.js": loadFile(static.FS, "swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8", "gzip"),
		"/ui/favicon.png":          loadFile(static.FS, "favicon-32x32.png", "image/png"),
	}
}

func loadFile(from fs.FS, name, kind string, encoding ...string) staticFile {
	body, err := fs.ReadFile(from, name)
	if err != nil { // unreachable: the file was embedded at build time
		panic(fmt.Sprintf("the API UI lacks a file: %v", err))
	}
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
	return staticFile{string(body), []string{kind}, encoding, []string{tag}}
}
