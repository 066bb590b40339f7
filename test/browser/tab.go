package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Tab is a page in a browser, with the requests that it made and the errors that it caused.
type Tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	origins  []string // of all requests
	refusals []string // responses of 400 and above, as "400 /path"
	troubles []string // errors, warnings, and violations of the content security policy
}

// Open shows a page in a browser. When it returns, Swagger UI has loaded the document.
func Open(t *testing.T, address string) *Tab {
	t.Helper()
	p := &Tab{t: t, ctx: chromium(t)}
	if err := chromedp.Listen(p.ctx, p.watch); err != nil {
		t.Fatal(err)
	}
	p.Do("open the page", chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		if _, err := cdp.Call(ctx, page, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, page, audits.Enable, cdp.Empty{})
		return err
	}), chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(".opblock")))
	return p
}

// Do performs the next step of a user.
func (p *Tab) Do(step string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, expire := context.WithTimeout(p.ctx, slowest)
	defer expire()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.stuck(step, err)
	}
}

// Read returns the result of an action on the page.
func Read[T any](p *Tab, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, expire := context.WithTimeout(p.ctx, slowest)
	defer expire()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		p.stuck("read "+what, err)
	}
	return found
}

func (p *Tab) stuck(step string, err error) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.t.Fatalf("%s: %v; troubles: %q, refusals: %q", step, err, p.troubles, p.refusals)
}

// watch records what happens on the page, before the step that causes it returns.
func (p *Tab) watch(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" {
			p.origins = append(p.origins, u.Scheme+"://"+u.Host)
		}
	case *network.EventResponseReceived:
		if u, err := url.Parse(e.Response.URL); err == nil && e.Response.Status >= 400 {
			p.refusals = append(p.refusals, fmt.Sprint(e.Response.Status, " ", u.Path))
		}
	case *network.EventLoadingFailed:
		p.complain("not loaded", e)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			p.complain("console", e.Args)
		}
	case *runtime.EventExceptionThrown:
		p.complain("exception", e.ExceptionDetails)
	case *log.EventEntryAdded:
		// Network entries are refusals, verbose entries advice on forms.
		if e.Entry.Source != "network" && e.Entry.Level != "verbose" {
			p.complain("log", e.Entry)
		}
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			p.complain("policy", e.Issue.Details)
		}
	}
}

func (p *Tab) complain(of string, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		text = fmt.Appendf(nil, "%+v", what)
	}
	p.troubles = append(p.troubles, of+": "+string(text))
}

// MustBeQuiet fails the test if the page caused an error or warning, or made a request to another
// origin. It also fails the test if the page got other refusals than expected, or stored anything
// that outlives it.
func (p *Tab) MustBeQuiet(refusals ...string) {
	p.t.Helper()
	at := Read(p, "where it is", chromedp.Location())
	kept := Read(p, "what it stored", chromedp.Evaluate[int]("localStorage.length + sessionStorage.length"))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, origin := range p.origins {
		if !strings.HasPrefix(at, origin+"/") {
			p.t.Errorf("the page asked another origin: %s", origin)
		}
	}
	if !slices.Equal(p.refusals, refusals) {
		p.t.Errorf("the page was refused %q, want %q", p.refusals, refusals)
	}
	for _, trouble := range p.troubles {
		p.t.Errorf("the browser complains: %s", trouble)
	}
	if kept > 0 {
		p.t.Errorf("the page stored %d values", kept)
	}
}

// Picture saves a screenshot, if the environment names a folder for it.
func (p *Tab) Picture(name string) {
	p.t.Helper()
	folder := os.Getenv("APPTOKEN_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	png := Read(p, "what it looks like", chromedp.CaptureScreenshot())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
