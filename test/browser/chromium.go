package browser

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// slowest is how long a browser may take for one step.
const slowest = 20 * time.Second

// chromium starts a browser that reaches this machine alone, and ends it with the test. The test is skipped where there
// is none, unless all of them must be.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		lacking := "chromium is not installed: apt-get install --no-install-recommends chromium"
		if os.Getenv("APPTOKEN_TEST_ALL") != "" {
			t.Fatal(lacking)
		}
		t.Skip(lacking)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 1000),
		chromedp.DisableGPU,
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root can have none; what it opens is ours
	}
	// Not the context of the test: that ends before the cleanup, in which the browser is asked to close.
	ctx, kill := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(kill)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		closing, expire := context.WithTimeout(ctx, slowest)
		defer expire()
		if err := chromedp.Cancel(closing); err != nil { // returns once the process has ended
			t.Errorf("close the browser: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return ctx
}
