package programs

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Python is the system's Python, which has the packages of the system.
const Python = "/usr/bin/python3"

// Require skips the test unless programs are installed, each by a package of the same name.
func Require(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			SkipMissing(t, name)
		}
	}
}

// RequirePython skips the test unless Python has these modules.
func RequirePython(t *testing.T, modules ...string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), Python, "-c", "import "+strings.Join(modules, ", ")).Run(); err != nil {
		SkipMissing(t, "python3-"+strings.Join(modules, " python3-"))
	}
}

// SkipMissing skips a test that needs packages which are not installed, and names them. If
// APPTOKEN_TEST_ALL is set, it fails the test instead.
func SkipMissing(t *testing.T, packages string) {
	t.Helper()
	lacking := "not installed: apt-get install --no-install-recommends " + packages
	if os.Getenv("APPTOKEN_TEST_ALL") != "" {
		t.Fatal(lacking)
	}
	t.Skip(lacking)
}
