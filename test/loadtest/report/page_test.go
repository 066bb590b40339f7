package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPage_WithoutMarksIsRefused(t *testing.T) {
	for name, page := range map[string]string{
		"no mark": "# Benchmarks\n",
		"no end":  fmt.Sprintf(BeginMark, "token"),
	} {
		file := filepath.Join(t.TempDir(), "page.md")
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		r := Report{Environment: DescribeMachine()}
		r.Table("token").Add("figure", 7, "ns")
		if err := r.Publish(file, []string{"token"}); err == nil || !strings.Contains(err.Error(), "figures") {
			t.Errorf("%s: the error is %v", name, err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != page {
			t.Errorf("%s: the page became %q, %v", name, got, err)
		}
	}
}
