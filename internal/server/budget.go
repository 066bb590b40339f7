package server

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// BudgetOptions of a Budget. What is not set has its default.
type BudgetOptions struct {
	PerCaller int // requests of one caller a second; 10 by default
	PerClient int // requests of all callers of one client a second; four times as many by default
	InFlight  int // requests of all callers at once; 64 by default, a quarter of them of one client
}

// Budget bounds the requests that read from the API server, or write to it, on behalf of callers: of one caller, so that one
// stolen credential does not use up what the others need; of one client, so that many credentials of one tenant do not either;
// and of all at once, so that the API server is not asked for more while it is slow. Safe for use by many.
type Budget struct {
	perCaller, perClient, inFlight int

	mu      sync.Mutex
	callers *lru.Cache // of *rate.Limiter by caller
	clients *lru.Cache // of *rate.Limiter by client
	running map[string]int
	total   int
}

const (
	// maxBudgetKeys bounds how many callers, and how many clients, are remembered. One that is forgotten has its burst again.
	maxBudgetKeys = 1 << 14
	// budgetBurst is for how many seconds a budget can be saved up.
	budgetBurst = 4
	// clientShare is the part of the requests in flight that one client may have.
	clientShare = 4
)

// NewBudget returns a Budget of which nothing is used.
func NewBudget(o BudgetOptions) *Budget {
	def := func(n, otherwise int) int {
		if n > 0 {
			return n
		}
		return otherwise
	}
	b := &Budget{perCaller: def(o.PerCaller, 10), inFlight: def(o.InFlight, 64), running: map[string]int{}}
	b.perClient = def(o.PerClient, 4*b.perCaller)
	b.callers, b.clients = lru.New(maxBudgetKeys), lru.New(maxBudgetKeys)
	return b
}

// begin takes a request of a caller, of a client, at the instant now. The request is over once end is called. Where end is nil
// there was none left, and after is how long it takes until there is.
func (b *Budget) begin(now time.Time, caller, client string) (end func(), after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	byCaller, byClient := limiterOf(b.callers, caller, b.perCaller), limiterOf(b.clients, client, b.perClient)
	for _, l := range []*rate.Limiter{byCaller, byClient} {
		if missing := 1 - l.TokensAt(now); missing > 0 {
			return nil, time.Duration(missing * float64(time.Second) / float64(l.Limit()))
		}
	}
	if b.total >= b.inFlight || b.running[client] >= max(1, b.inFlight/clientShare) {
		return nil, time.Second
	}
	byCaller.AllowN(now, 1)
	byClient.AllowN(now, 1)
	b.total++
	b.running[client]++
	return sync.OnceFunc(func() { b.end(client) }), 0
}

func (b *Budget) end(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.running[client]--; b.running[client] == 0 {
		delete(b.running, client)
	}
}

// limiterOf returns the limiter of a key, and makes one if there is none.
func limiterOf(all *lru.Cache, key string, perSecond int) *rate.Limiter {
	if found, known := all.Get(key); known {
		if l, is := found.(*rate.Limiter); is {
			return l
		}
	}
	l := rate.NewLimiter(rate.Limit(perSecond), budgetBurst*perSecond)
	all.Add(key, l)
	return l
}

// spent reports that a budget is used up.
type spent struct{ after time.Duration }

func (*spent) Error() string { return "the budget of the caller, or of its client, is used up" }

// begin takes a request from the budget of a principal, before anything is read from the API server for it.
func (d *Doors) begin(p principal) (end func(), err error) {
	return d.beginAs(p.payer(), p.Client.Name)
}

func (d *Doors) beginAs(caller, client string) (end func(), err error) {
	end, after := d.Budget.begin(d.Now(), caller, client)
	if end == nil {
		return nil, &spent{after}
	}
	return end, nil
}

// tooMany refuses a caller whose budget is used up.
func tooMany(w http.ResponseWriter, after time.Duration) {
	w.Header()["Retry-After"] = []string{seconds(after)}
	problem(w, http.StatusTooManyRequests, "too_many_requests", "this caller, or its client, asks too often; wait, and ask again")
}
