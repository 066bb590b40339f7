package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/controlplane"
)

// A folder in backticks, or a file in backticks. A file is in the folder that was named last.
var codePathPattern = regexp.MustCompile("`((?:api|cmd|controllers|internal|test|hack|config)(?:/[a-z0-9_/]+)?|[a-z0-9_]+\\.go)`")

// A page that names a file which has moved sends its reader nowhere. Design notes describe the code
// as it was when they were written.
func TestNames_FilesOfCodeExist(t *testing.T) {
	root, named := controlplane.Root(), 0
	for _, p := range allPages(t) {
		if strings.Contains(p.path, "design/") {
			continue
		}
		for paragraph := range strings.SplitSeq(p.prose(), "\n\n") {
			for line := range strings.SplitSeq(joinUnlessTable(paragraph), "\n") {
				folder := ""
				for _, m := range codePathPattern.FindAllStringSubmatch(line, -1) {
					path := m[1]
					switch isFile := strings.HasSuffix(path, ".go"); {
					case isFile && folder == "":
						continue // main.go, or a file that the sentence places in another way
					case isFile:
						path = filepath.Join(folder, path)
					default:
						folder = path
					}
					named++
					if _, err := os.Stat(filepath.Join(root, path)); err != nil {
						t.Errorf("%s names %s, which does not exist", p.path, path)
					}
				}
			}
		}
	}
	if named < 50 {
		t.Errorf("the pages name %d paths of code, which is too few to be all of them", named)
	}
}

// joinUnlessTable joins the lines of a paragraph, unless they are rows of a table.
func joinUnlessTable(paragraph string) string {
	if strings.HasPrefix(strings.TrimSpace(paragraph), "|") {
		return paragraph
	}
	return strings.ReplaceAll(paragraph, "\n", " ")
}
