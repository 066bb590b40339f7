package programs

import (
	"os/exec"
	"testing"
)

// RequireJava skips the test unless Java is installed with its compiler, which java needs to run a
// program from its source.
func RequireJava(t *testing.T) {
	t.Helper()
	for _, name := range []string{"java", "javac", "keytool"} {
		if _, err := exec.LookPath(name); err != nil {
			SkipMissing(t, "default-jdk-headless")
		}
	}
}
