package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Debian 12 has an older Node.js than the packages of tests need.
func TestNode_OlderOneOfTheSystemIsNotUsed(t *testing.T) {
	Require(t, "npm")
	node := Node(t)
	system, err := exec.LookPath("npm")
	if err != nil {
		t.Fatal(err)
	}
	older := t.TempDir()
	if err := os.WriteFile(filepath.Join(older, "node"), []byte("#!/bin/sh\necho v18.20.4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	// npm itself is a program of Node.js, and runs on an old one.
	npm := "#!/bin/sh\nPATH=" + filepath.Dir(node) + ":$PATH exec " + system + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(older, "npm"), []byte(npm), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", older+":"+os.Getenv("PATH"))
	got := Node(t)
	if strings.HasPrefix(got, older) || !isRecentNode(t.Context(), got) {
		t.Errorf("got %s", got)
	}
}

func TestInstallNPM_ScriptsFindPinnedPackages(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"package.json":      `{"name": "x", "private": true, "dependencies": {"ms": "2.1.3"}}`,
		"package-lock.json": `{"name": "x", "lockfileVersion": 3, "requires": true, "packages": {"": {"name": "x", "dependencies": {"ms": "2.1.3"}}, "node_modules/ms": {"version": "2.1.3", "integrity": "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA=="}}}`,
		"script.mjs":        `import ms from "ms"; console.log(ms("2 days"))`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node := Node(t)
	for range 2 {
		InstallNPM(t, folder)
	}
	out, err := exec.CommandContext(t.Context(), node, filepath.Join(folder, "script.mjs")).CombinedOutput()
	if err != nil || string(out) != "172800000\n" {
		t.Errorf("%v: %s", err, out)
	}
}
