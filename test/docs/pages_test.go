package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/test/cluster"
)

// page is a Markdown file of the documentation.
type page struct {
	path string // from the root of the module
	text string
}

// pages returns README.md and everything below docs/.
func pages(t *testing.T) []page {
	t.Helper()
	all := []page{{"README.md", file(t, "README.md")}}
	err := filepath.WalkDir(filepath.Join(cluster.Root(), "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		rel, err := filepath.Rel(cluster.Root(), path)
		all = append(all, page{rel, file(t, rel)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// below returns the text of all pages of one folder.
func below(t *testing.T, folder string) string {
	t.Helper()
	var text strings.Builder
	for _, p := range pages(t) {
		if strings.HasPrefix(p.path, folder) {
			text.WriteString(p.text)
		}
	}
	return text.String()
}

// file returns the content of a file of the module.
func file(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(cluster.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks returns the fenced blocks of a page in a language.
func (p page) blocks(language string) []string {
	var found []string
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

// prose returns the page without its fenced blocks.
func (p page) prose() string { return fence.ReplaceAllString(p.text, "") }
