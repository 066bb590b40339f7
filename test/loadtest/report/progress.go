package report

import (
	"fmt"
	"io"
	"time"
)

// Progress writes how far the run is, with the time since its start.
type Progress struct {
	To    io.Writer
	Began time.Time
}

// Logf writes a line.
func (p Progress) Logf(format string, args ...any) {
	fmt.Fprintf(p.To, "%6.1fs  %s\n", time.Since(p.Began).Seconds(), fmt.Sprintf(format, args...))
}
