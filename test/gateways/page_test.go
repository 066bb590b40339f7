package gateways_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/test/cluster"
)

// fence matches a fenced block of a page, with its language.
var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// config returns the first block in a language on a page.
func config(t *testing.T, page, language string) string {
	t.Helper()
	return blocks(t, page, language)[0]
}

// blocks returns the blocks in a language on a page. There must be at least one.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cluster.Root(), "docs", "doors", page))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s shows no %s", page, language)
	}
	return all
}

// with replaces the first of each pair by the second. The first must be there: without a
// replacement, the test would not test what it claims.
func with(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the page does not say %q any more", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}
