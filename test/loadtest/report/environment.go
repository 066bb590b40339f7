package report

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Environment describes what the numbers depend on.
type Environment struct {
	Date       time.Time `json:"date"`
	Commit     string    `json:"commit"` // from which this program was built
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Go         string    `json:"go"`
	Kubernetes string    `json:"kubernetes,omitempty"`
}

// String names the commit, the date, the machine and the versions of a run.
func (e Environment) String() string {
	s := fmt.Sprintf("Commit %s, %s, %s, %d cores, %s", e.Commit, e.Date.Format(time.DateOnly), e.CPU, e.Cores, e.Go)
	if e.Kubernetes != "" {
		s += ", Kubernetes " + e.Kubernetes
	}
	return s
}

// DescribeMachine returns the environment of this process.
func DescribeMachine() Environment {
	e := Environment{
		Date: time.Now().UTC().Truncate(time.Second), Commit: builtCommit(),
		CPU: "unknown processor", Cores: runtime.NumCPU(), Go: runtime.Version(),
	}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return e
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			e.CPU = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	return e
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
