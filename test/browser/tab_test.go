package browser_test

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

// tab is a page that a browser shows, with all that it asked for and complained of.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	origins  []string // that it asked for anything
	refusals []string // answers that say no, as "400 /path"
	troubles []string // errors, warnings, and breaches of the content security policy
}

// open has a browser show a page. Its Swagger UI has read the document when it returns.
func open(t *testing.T, address string) *tab {
	t.Helper()
	p := &tab{t: t, ctx: chromium(t)}
	if err := chromedp.Listen(p.ctx, p.watch); err != nil {
		t.Fatal(err)
	}
	p.do("open the page", chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		if _, err := cdp.Call(ctx, page, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, page, audits.Enable, cdp.Empty{})
		return err
	}), chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(".opblock")))
	return p
}

// do takes a person's next step.
func (p *tab) do(step string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, expire := context.WithTimeout(p.ctx, slowest)
	defer expire()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.stuck(step, err)
	}
}

// read is what an action finds on the page.
func read[T any](p *tab, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, expire := context.WithTimeout(p.ctx, slowest)
	defer expire()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		p.stuck("read "+what, err)
	}
	return found
}

func (p *tab) stuck(step string, err error) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.t.Fatalf("%s: %v; troubles: %q, refusals: %q", step, err, p.troubles, p.refusals)
}

// watch notes what happens on the page, before the step that brings it about returns.
func (p *tab) watch(event any) {
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

func (p *tab) complain(of string, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		text = fmt.Appendf(nil, "%+v", what)
	}
	p.troubles = append(p.troubles, of+": "+string(text))
}

// mustBeQuiet fails the test if the page complained of anything, asked another origin than its own, was refused anything
// but what is expected, or keeps something that outlives it.
func (p *tab) mustBeQuiet(refusals ...string) {
	p.t.Helper()
	at := read(p, "where it is", chromedp.Location())
	kept := read(p, "what it stored", chromedp.Evaluate[int]("localStorage.length + sessionStorage.length"))
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

// picture saves what a person sees, where the environment says so.
func (p *tab) picture(name string) {
	p.t.Helper()
	folder := os.Getenv("APPTOKEN_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	png := read(p, "what it looks like", chromedp.CaptureScreenshot())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
