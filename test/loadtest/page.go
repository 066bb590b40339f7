package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// The marks around the tables of a part in a page, as HTML comments.
const (
	beginMark = "<!-- figures: %s -->\n"
	endMark   = "<!-- end of figures -->\n"
)

// publish replaces the tables of the given parts in a page. Those of other parts stay as they are.
func (r *report) publish(file string, parts []string) error {
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
func (r *report) figures(rows []*row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", r.environment)
	writeTables(&b, rows)
	return b.String()
}

// replaceFigures returns the page with other figures of a part.
func replaceFigures(page, part, figures string) (string, error) {
	mark := fmt.Sprintf(beginMark, part)
	before, rest, ok := strings.Cut(page, mark)
	if !ok {
		return "", fmt.Errorf("there is no line %q", strings.TrimSpace(mark))
	}
	_, after, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", fmt.Errorf("there is no line %q after %q", strings.TrimSpace(endMark), strings.TrimSpace(mark))
	}
	return before + mark + figures + endMark + after, nil
}

// builtCommit returns the commit from which this program was built.
func builtCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	commit, suffix := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = " with changes"
		}
	}
	return commit + suffix
}
