package browser

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// OpenPage shows a page in a browser, whatever it is. The browser accepts any certificate.
func OpenPage(t *testing.T, address string) *Tab {
	t.Helper()
	p := &Tab{t: t, ctx: startBrowser(t, chromedp.Flag("ignore-certificate-errors", true))}
	if err := chromedp.Listen(p.ctx, p.recordEvent); err != nil {
		t.Fatal(err)
	}
	p.Do("open the page", chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, network.Enable, network.EnableParams{})
		return err
	}), chromedp.Navigate(address))
	return p
}

// FetchOptions are the options of a request that a script of the page makes.
type FetchOptions struct {
	Method      string            `json:"method,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        string            `json:"body,omitempty"`
	Credentials string            `json:"credentials,omitempty"` // include: with cookies; by default, without those of other origins
	Mode        string            `json:"mode,omitempty"`
}

// FetchResult is what the script learns.
type FetchResult struct {
	Error   string            `json:"error"` // if it may not read the response
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// fetchScript defines a function that makes a request, and returns what a script may read.
const fetchScript = `(async (url, options) => {
	try {
		const response = await fetch(url, options);
		return {status: response.status, headers: Object.fromEntries(response.headers), body: await response.text()};
	} catch (e) {
		return {error: String(e)};
	}
})`

// Fetch makes a request from the page, as its scripts do.
func (p *Tab) Fetch(address string, o FetchOptions) FetchResult {
	p.t.Helper()
	url, urlErr := json.Marshal(address)
	options, err := json.Marshal(o)
	if err != nil || urlErr != nil {
		p.t.Fatal(err, urlErr)
	}
	return Read(p, "fetch "+address, chromedp.Evaluate[FetchResult](fetchScript+"("+string(url)+","+string(options)+")", chromedp.EvalAwaitPromise))
}
