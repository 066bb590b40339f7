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

// Tab is a page that a browser shows, with all that it asked for and complained of.
type Tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	origins  []string // that it asked for anything
	refusals []string // answers that say no, as "400 /path"
	troubles []string // errors, warnings, and breaches of the content security policy
}

// Open has a browser show a page. Its Swagger UI has read the document when it returns.
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

// Do takes a person's next step.
func (p *Tab) Do(step string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, expire := context.WithTimeout(p.ctx, slowest)
	defer expire()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.stuck(step, err)
	}
}

// Read is what an action finds on the page.
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

// watch notes what happens on the page, before the step that brings it about returns.
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
		if e.Entry.Source != "network" && e.Entry.Level != "verbose" { // refusals, and advice on forms
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

// MustBeQuiet fails the test if the page complained of anything, asked another origin than its own, was refused anything
// but what is expected, or keeps something that outlives it.
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

// Picture saves what a person sees, where the environment says so.
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
