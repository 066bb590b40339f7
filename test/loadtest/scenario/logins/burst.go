package logins

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// heapFactor is how many times the memory of the running checks may be in use. A collection keeps
// what is in use, and what is allocated while it runs. That is assumed to be three times the memory
// of the checks. As much again is allocated before the next collection, since GOGC is 100.
const heapFactor = 6

// measureBurst logs in many times at once, at an operator that has just started. It compares the
// maximum memory of the operator with that for as many logins whose hash takes almost none. The
// operator must refuse a login that it cannot serve with 429 or 503.
func (p *loginUsers) measureBurst(ctx context.Context, b *scenario.Run, r report.Table, h scenario.Hashing) error {
	if err := p.StopOperator(); err != nil {
		return err
	}
	if err := p.startServing(ctx); err != nil {
		return err
	}
	base, _, err := p.burstMemory(ctx, b.Parallel, scenario.QuickHash)
	if err != nil {
		return err
	}
	most, in, err := p.burstMemory(ctx, b.Parallel, h)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d logins at once", b.Parallel)
	hash := float64(p.stored[h.UserPrefix].Memory()) / (1 << 20)
	r.Add(name+", "+h.Label+": logged in, and not refused", float64(in), "")
	r.Add("memory of the operator under "+name+", "+scenario.QuickHash.Label, base, "MiB")
	r.AddRatio(
		fmt.Sprintf("memory of the operator under %s, %s, beside that and %d times what the checks take", name, h.Label, heapFactor),
		most, "MiB", base+heapFactor*float64(p.checks)*hash, report.AtMost(1),
	)
	return nil
}

// burstMemory logs in n times at once. It returns the maximum memory of the operator meanwhile, in
// MiB, and how many logins succeeded.
func (p *loginUsers) burstMemory(ctx context.Context, n int, h scenario.Hashing) (most float64, in int, err error) {
	pid := p.Operator.Pid()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil { // resets the maximum
		p.Logf("the most memory is that since the start: %v", err)
	}
	statuses, err := load.Burst(ctx, p.endpoint, n, func(i int) []byte { return loginRequest(h, i) })
	if err != nil {
		return 0, 0, err
	}
	for status, times := range statuses {
		p.Logf("%s: %d of %d logins at once are answered by %d", h.Label, times, n, status)
		if status != http.StatusOK && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			return 0, 0, fmt.Errorf("%d of %d logins at once are answered by %d", times, n, status)
		}
	}
	_, most = testbed.ResidentMemory(pid)
	return most, statuses[http.StatusOK], nil
}
