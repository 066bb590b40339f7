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

	mu             sync.Mutex
	origins        []string // of all requests
	errorResponses []string // responses of 400 and above, as "400 /path"
	problems       []string // errors, warnings, and violations of the content security policy
}

// Open shows a page in a browser. When it returns, Swagger UI has loaded the document.
func Open(t *testing.T, address string) *Tab {
	t.Helper()
	p := &Tab{t: t, ctx: startBrowser(t)}
	if err := chromedp.Listen(p.ctx, p.recordEvent); err != nil {
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
	ctx, expire := context.WithTimeout(p.ctx, stepTimeout)
	defer expire()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.fail(step, err)
	}
}

// Read returns the result of an action on the page.
func Read[T any](p *Tab, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, expire := context.WithTimeout(p.ctx, stepTimeout)
	defer expire()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		p.fail("read "+what, err)
	}
	return found
}

func (p *Tab) fail(step string, err error) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.t.Fatalf("%s: %v; troubles: %q, refusals: %q", step, err, p.problems, p.errorResponses)
}

// recordEvent records what happens on the page, before the step that causes it returns.
func (p *Tab) recordEvent(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" {
			p.origins = append(p.origins, u.Scheme+"://"+u.Host)
		}
	case *network.EventResponseReceived:
		if u, err := url.Parse(e.Response.URL); err == nil && e.Response.Status >= 400 {
			p.errorResponses = append(p.errorResponses, fmt.Sprint(e.Response.Status, " ", u.Path))
		}
	case *network.EventLoadingFailed:
		p.addProblem("not loaded", e)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			p.addProblem("console", e.Args)
		}
	case *runtime.EventExceptionThrown:
		p.addProblem("exception", e.ExceptionDetails)
	case *log.EventEntryAdded:
		// Network entries are refusals, verbose entries advice on forms.
		if e.Entry.Source != "network" && e.Entry.Level != "verbose" {
			p.addProblem("log", e.Entry)
		}
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			p.addProblem("policy", e.Issue.Details)
		}
	}
}

func (p *Tab) addProblem(of string, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		text = fmt.Appendf(nil, "%+v", what)
	}
	p.problems = append(p.problems, of+": "+string(text))
}

// AssertNoProblems fails the test if the page caused an error or warning, or made a request to
// another origin. It also fails the test if the page got other refusals than expected, or stored
// anything that outlives it.
func (p *Tab) AssertNoProblems(refusals ...string) {
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
	if !slices.Equal(p.errorResponses, refusals) {
		p.t.Errorf("the page was refused %q, want %q", p.errorResponses, refusals)
	}
	for _, trouble := range p.problems {
		p.t.Errorf("the browser complains: %s", trouble)
	}
	if kept > 0 {
		p.t.Errorf("the page stored %d values", kept)
	}
}

// Screenshot saves a screenshot, if the environment names a folder for it.
func (p *Tab) Screenshot(name string) {
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
