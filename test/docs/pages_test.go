package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/controlplane"
)

// page is a Markdown file of the documentation.
type page struct {
	path string // from the root of the module
	text string
}

// allPages returns README.md and everything below docs/.
func allPages(t *testing.T) []page {
	t.Helper()
	all := []page{{"README.md", readFile(t, "README.md")}}
	err := filepath.WalkDir(filepath.Join(controlplane.Root(), "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		rel, err := filepath.Rel(controlplane.Root(), path)
		all = append(all, page{rel, readFile(t, rel)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// textBelow returns the text of all pages of one folder.
func textBelow(t *testing.T, folder string) string {
	t.Helper()
	var text strings.Builder
	for _, p := range allPages(t) {
		if strings.HasPrefix(p.path, folder) {
			text.WriteString(p.text)
		}
	}
	return text.String()
}

// readFile returns the content of a file of the module.
func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(controlplane.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var fencedBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks returns the fenced blocks of a page in a language.
func (p page) blocks(language string) []string {
	var found []string
	for _, m := range fencedBlock.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

// prose returns the page without its fenced blocks.
func (p page) prose() string { return fencedBlock.ReplaceAllString(p.text, "") }
