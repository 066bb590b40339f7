package gateways_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/controlplane"
)

// fencedBlock matches a fenced block of a page, with its language.
var fencedBlock = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// firstBlock returns the first block in a language on a page.
func firstBlock(t *testing.T, page, language string) string {
	t.Helper()
	return blocks(t, page, language)[0]
}

// blocks returns the blocks in a language on a page. There must be at least one.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "endpoints", page))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range fencedBlock.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s shows no %s", page, language)
	}
	return all
}

// replacePairs replaces the first of each pair by the second. The first must be there: without a
// replacement, the test would not test what it claims.
func replacePairs(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the page does not say %q any more", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}
