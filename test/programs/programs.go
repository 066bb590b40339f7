// Package programs says which programs, of those that the operator works with, a test cannot do without.
package programs

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Python is that of the system, which has the packages of the system.
const Python = "/usr/bin/python3"

// Need programs, each of which a package of the same name installs.
func Need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Lack(t, name)
		}
	}
}

// NeedPython with these modules.
func NeedPython(t *testing.T, modules ...string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), Python, "-c", "import "+strings.Join(modules, ", ")).Run(); err != nil {
		Lack(t, "python3-"+strings.Join(modules, " python3-"))
	}
}

// Lack skips a test that needs packages which are not installed, and says which. Where APPTOKEN_TEST_ALL is set, every test
// has to run, and it fails.
func Lack(t *testing.T, packages string) {
	t.Helper()
	lacking := "not installed: apt-get install --no-install-recommends " + packages
	if os.Getenv("APPTOKEN_TEST_ALL") != "" {
		t.Fatal(lacking)
	}
	t.Skip(lacking)
}
