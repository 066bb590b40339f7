package browser

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/apptoken/operator/test/programs"
)

// stepTimeout is the timeout of one step of a browser.
const stepTimeout = 20 * time.Second

// startBrowser starts a browser that can reach this machine only, and closes it with the test.
func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	programs.Require(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 1000),
		chromedp.DisableGPU,
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	)
	options = append(options, more...)
	if os.Geteuid() == 0 {
		// Root cannot have a sandbox; the browser opens the test's own pages only.
		options = append(options, chromedp.NoSandbox)
	}
	// This is not the context of the test, which ends before the cleanup, in which the browser is
	// asked to close.
	ctx, kill := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(kill)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		closing, expire := context.WithTimeout(ctx, stepTimeout)
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
