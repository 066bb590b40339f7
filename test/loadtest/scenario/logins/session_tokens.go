package logins

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

const (
	// FewSessionTokens is the limit of the user beside which the user with many is measured.
	FewSessionTokens = 10
	// loginInterval is the interval at which one name may log in without end.
	loginInterval = 100 * time.Millisecond
	// limitedLogins is how many logins of each user are measured in a turn. All turns together stay
	// below what one name may log in at once.
	limitedLogins = 8
)

// sessionHolder is a user that holds session tokens, as a program does that gets one for each of
// its web sessions.
type sessionHolder struct {
	name string
	most int // spec.logins.maxSessionTokens
	last string
	line *load.Conn
}

// MeasureSessionTokens measures what many session tokens of one user take: memory of the operator,
// bytes in the API server, and the time of a login.
func MeasureSessionTokens(ctx context.Context, b *scenario.Run) error {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return err
	}
	p := &loginUsers{Testbed: s, checks: 1}
	few, many := &sessionHolder{name: "few", most: FewSessionTokens}, &sessionHolder{name: "many", most: b.Sessions}
	if err := p.createHolders(ctx, few, many); err != nil {
		return err
	}
	if err := p.serve(ctx, few, many); err != nil {
		return err
	}
	for _, h := range []*sessionHolder{few, many} {
		if _, err := p.openPaced(ctx, h, FewSessionTokens); err != nil {
			return err
		}
	}
	before, err := p.heapAfterStart(ctx)
	if err != nil {
		return err
	}
	if err := p.serve(ctx, few, many); err != nil {
		return err
	}
	r := b.Report.Table("session tokens")
	if err := p.measureFilling(ctx, r, many); err != nil {
		return err
	}
	if err := p.measureAtLimit(ctx, b, r, few, many); err != nil {
		return err
	}
	after, err := p.heapAfterStart(ctx)
	if err != nil {
		return err
	}
	r.Add("memory of the operator for each", (after-before)/float64(many.most-FewSessionTokens), "bytes")
	return nil
}

// serve starts the operator, and connects the users to it.
func (p *loginUsers) serve(ctx context.Context, holders ...*sessionHolder) error {
	if err := p.startServing(ctx); err != nil {
		return err
	}
	return p.connect(ctx, holders...)
}

// connect gives each user a new connection. The operator closes those that are idle for long.
func (p *loginUsers) connect(ctx context.Context, holders ...*sessionHolder) error {
	for _, h := range holders {
		if h.line != nil {
			_ = h.line.Close() // the other side may have closed it
		}
		var err error
		if h.line, err = load.Dial(ctx, p.endpoint); err != nil {
			return err
		}
	}
	return nil
}

// createHolders creates the Client and the users, each with a limit of its own.
func (p *loginUsers) createHolders(ctx context.Context, holders ...*sessionHolder) error {
	if err := p.createClient(ctx); err != nil {
		return err
	}
	if _, err := scenario.StorePassword(ctx, p.Testbed, scenario.QuickHash); err != nil {
		return err
	}
	for _, h := range holders {
		u := scenario.NewUser(h.name, scenario.QuickHash.SecretName, loginClient)
		u.Spec.Logins.MaxSessionTokens = new(int32(h.most))
		if err := p.Clients[0].Create(ctx, u); err != nil {
			return fmt.Errorf("create User %s: %w", h.name, err)
		}
	}
	return nil
}

// open opens a session token and returns how long it took. It waits and tries again if the name has
// logged in too often.
func (h *sessionHolder) open(ctx context.Context) (time.Duration, error) {
	basic := base64.StdEncoding.EncodeToString([]byte(h.name + ":" + scenario.UserPassword))
	request := load.RawRequest("GET", "/security/rest/token/access/session/0", "", "", "", "Authorization: Basic "+basic)
	for {
		began := time.Now()
		status, body, err := h.line.Send(request)
		took := time.Since(began)
		switch {
		case err != nil:
			return 0, err
		case status == http.StatusTooManyRequests:
			if err := load.Sleep(ctx, loginInterval); err != nil {
				return 0, err
			}
			continue
		case status != http.StatusOK:
			return 0, fmt.Errorf("the answer is %d: %.200s", status, body)
		}
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return 0, err
		}
		h.last = answer.Token
		return took, nil
	}
}

// openPaced opens n session tokens at the rate that one name may keep up, and returns the times.
func (p *loginUsers) openPaced(ctx context.Context, h *sessionHolder, n int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range n {
		t, err := h.open(ctx)
		if err != nil {
			return nil, err
		}
		took = append(took, t)
		if err := load.Sleep(ctx, loginInterval-t); err != nil {
			return nil, err
		}
		if (i+1)%100 == 0 {
			p.Logf("session tokens: %d of %d", i+1, n)
		}
	}
	return took, nil
}

// measureFilling opens session tokens up to the limit of a user. None of these logins ends another.
// It compares the first of them with the last.
func (p *loginUsers) measureFilling(ctx context.Context, r report.Table, h *sessionHolder) error {
	n := h.most - FewSessionTokens
	took, err := p.openPaced(ctx, h, n)
	if err != nil {
		return err
	}
	size, err := p.storedBytes(ctx, h)
	if err != nil {
		return err
	}
	r.Add("session tokens of one user", float64(h.most), "tokens")
	r.Add("stored by the API server for each", float64(size), "bytes")
	window := max(1, n/20)
	first, last := report.Percentile(took[:window], 50), report.Percentile(took[n-window:], 50)
	r.AddRatio(fmt.Sprintf("login of a user with %d, beside with %d", h.most, FewSessionTokens), report.Milliseconds(last), "ms", report.Milliseconds(first), report.AtMost(1.5))
	return nil
}

// measureAtLimit compares logins of a user with many session tokens with those of a user with few.
// Each of them ends the session token that was unused for the longest time.
func (p *loginUsers) measureAtLimit(ctx context.Context, b *scenario.Run, r report.Table, few, many *sessionHolder) error {
	if err := p.connect(ctx, few, many); err != nil {
		return err
	}
	times := map[*sessionHolder][]time.Duration{}
	before, err := p.Writes(ctx)
	if err != nil {
		return err
	}
	for range b.Turns {
		for _, h := range []*sessionHolder{few, many} {
			for range limitedLogins {
				t, err := h.open(ctx)
				if err != nil {
					return err
				}
				times[h] = append(times[h], t)
			}
		}
	}
	after, err := p.Writes(ctx)
	if err != nil {
		return err
	}
	ended := float64(after.Since(before).Done[testbed.DropRecord])
	r.Add("session tokens that each login at the limit ends", ended/float64(2*b.Turns*limitedLogins), "tokens")
	r.AddRatio(
		fmt.Sprintf("login at a limit of %d, beside at one of %d", many.most, few.most),
		report.Milliseconds(report.Percentile(times[many], 50)), "ms", report.Milliseconds(report.Percentile(times[few], 50)), report.AtMost(1.5),
	)
	return nil
}

// heapAfterStart starts the operator anew, and returns the bytes that it has in use once it has
// collected the garbage of its start. It reads the metrics until then: each read allocates. The
// operator collects garbage often, so that few reads are needed.
func (p *loginUsers) heapAfterStart(ctx context.Context) (float64, error) {
	if err := p.StopOperator(); err != nil {
		return 0, err
	}
	p.Variables = []string{"GOGC=10"}
	defer func() { p.Variables = nil }()
	if err := p.startServing(ctx); err != nil {
		return 0, err
	}
	if _, err := p.WaitQuiet(ctx); err != nil {
		return 0, err
	}
	const cycles = "go_gc_cycles_total_gc_cycles_total"
	first, err := p.Operator.Metric(ctx, cycles, "")
	if err != nil {
		return 0, err
	}
	for now := first; now < first+2; {
		if err := load.Sleep(ctx, loginInterval); err != nil { // the operator refuses a flood of reads
			return 0, err
		}
		if now, err = p.Operator.Metric(ctx, cycles, ""); err != nil {
			return 0, err
		}
	}
	live, err := p.Operator.Metric(ctx, "go_gc_heap_live_bytes", "")
	return live, errors.Join(err, p.StopOperator())
}

// storedBytes returns the size of the record of the last session token, in the form in which the
// API server stores it.
func (p *loginUsers) storedBytes(ctx context.Context, h *sessionHolder) (int, error) {
	_, digest, err := token.DigestOf(h.last)
	if err != nil {
		return 0, err
	}
	path := "/apis/apptoken.dev/v1alpha1/namespaces/" + testbed.OwnNamespace + "/tokenrecords/" + digest.RecordName()
	body, err := p.Admin.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
	return len(body), err
}
