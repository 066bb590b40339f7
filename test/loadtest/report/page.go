package report

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The marks around the tables of a part in a page, as HTML comments.
const (
	BeginMark = "<!-- figures: %s -->\n"
	EndMark   = "<!-- end of figures -->\n"
)

// Publish replaces the tables of the given parts in a page. Those of other parts stay as they are.
func (r *Report) Publish(file string, parts []string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	page := string(text)
	for _, part := range parts {
		rows := slices.DeleteFunc(slices.Clone(r.Results), func(row *row) bool { return row.Part != part })
		if page, err = replaceFigures(page, part, r.figures(rows)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return os.WriteFile(file, []byte(page), 0o644)
}

// figures returns the tables of rows, preceded by the environment of the measurement.
func (r *Report) figures(rows []*row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", r.Environment)
	writeTables(&b, rows)
	return b.String()
}

// replaceFigures returns the page with other figures of a part.
func replaceFigures(page, part, figures string) (string, error) {
	mark := fmt.Sprintf(BeginMark, part)
	before, rest, ok := strings.Cut(page, mark)
	if !ok {
		return "", fmt.Errorf("there is no line %q", strings.TrimSpace(mark))
	}
	_, after, ok := strings.Cut(rest, EndMark)
	if !ok {
		return "", fmt.Errorf("there is no line %q after %q", strings.TrimSpace(EndMark), strings.TrimSpace(mark))
	}
	return before + mark + figures + EndMark + after, nil
}
