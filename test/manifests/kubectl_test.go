package manifests_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/controlplane"
)

// configPath returns the path of a folder below config/.
func configPath(folder string) string { return filepath.Join(controlplane.Root(), "config", folder) }

// emptyCluster starts a control plane with nothing installed.
func emptyCluster(t *testing.T) (*controlplane.Cluster, kubectl) {
	t.Helper()
	c := controlplane.StartFor(t, controlplane.WithoutCRDs)
	kubeconfig, err := c.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	k := kubectl(filepath.Join(t.TempDir(), "kubeconfig"))
	if err := os.WriteFile(string(k), kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	return c, k
}

// kubectl is the kubeconfig file of an API server.
type kubectl string

// run runs kubectl, and returns its output as a user at a terminal sees it. It fails the test if
// kubectl fails.
func (k kubectl) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kubectlPath(t), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+string(k))
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

// apply applies a folder with strict validation. It fails the test on a warning of the API server,
// such as of pods that their namespace rejects.
func (k kubectl) apply(t *testing.T, folder string, flags ...string) {
	t.Helper()
	said := k.run(t, append([]string{"apply", "--validate=strict", "-k", configPath(folder)}, flags...)...)
	for line := range strings.Lines(said) {
		if strings.Contains(line, "Warning") {
			t.Errorf("kubectl apply -k config/%s: %s", folder, line)
		}
	}
}

// writeOverlay writes a kustomization as a user would, and returns its folder relative to config/.
// In text, config/ stands for the folder of that name.
func writeOverlay(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	up, err := filepath.Rel(dir, configPath("."))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(strings.ReplaceAll(text, "config/", up+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Rel(configPath("."), dir)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// waitForKinds waits until the API server serves the kinds.
func (k kubectl) waitForKinds(t *testing.T) {
	t.Helper()
	k.run(t, "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
}

// render returns the manifests of a folder, as kustomize renders them.
func render(t *testing.T, folder string) []byte {
	t.Helper()
	trackConfigFiles(t)
	cmd := exec.CommandContext(t.Context(), kubectlPath(t), "kustomize", configPath(folder))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Fatalf("kubectl kustomize config/%s: %v\n%s", folder, err, said.String())
	}
	return out.Bytes()
}

// trackConfigFiles reads every file of config/. So go test's cache depends on them: it cannot
// observe the files that kubectl reads.
func trackConfigFiles(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(configPath("."), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func kubectlPath(t *testing.T) string {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: use make test, or export KUBEBUILDER_ASSETS=$(make -s controlplane | tail -n 1)")
	}
	return filepath.Join(assets, "kubectl")
}
