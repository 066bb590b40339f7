package endpoint

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// BudgetOptions configures a Budget. A field that is not positive has its default.
type BudgetOptions struct {
	PerCaller int // requests a second of one caller; default 10
	PerClient int // requests a second of all callers of one client; default four times PerCaller
	InFlight  int // concurrent requests of all callers; default 64. One client has a quarter
}

// Budget limits the requests that read from the API server, or write to it, on behalf of callers.
// The limit of a caller keeps one stolen credential from using up the share of others. The limit of
// a client keeps many credentials of one tenant from doing so. The limit of concurrent requests
// keeps load off an API server that is slow. A Budget is safe for concurrent use.
type Budget struct {
	perCaller, perClient, inFlight int

	mu      sync.Mutex
	callers *lru.Cache // *rate.Limiter by caller
	clients *lru.Cache // *rate.Limiter by client
	running map[string]int
	total   int
}

const (
	// maxBudgetKeys is how many callers, and how many clients, a Budget keeps limiters for. An
	// evicted one starts with a full burst.
	maxBudgetKeys = 1 << 14
	// budgetBurst is the burst of a limiter, in seconds of its rate.
	budgetBurst = 4
	// clientShare is the divisor of the concurrent requests that one client may have.
	clientShare = 4
)

// NewBudget returns a Budget with full limits.
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

// acquire takes a request of a caller and its client from the budget at the instant now. The caller
// of begin must call end when the request is over. If end is nil, the budget is used up, and after
// is the time to wait: until the rate allows a request, or one second if too many requests are in
// flight.
func (b *Budget) acquire(now time.Time, caller, client string) (end func(), after time.Duration) {
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
	return sync.OnceFunc(func() { b.release(client) }), 0
}

func (b *Budget) release(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.running[client]--; b.running[client] == 0 {
		delete(b.running, client)
	}
}

// limiterOf returns the limiter of a key, and creates it if there is none.
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

// BudgetExceededError reports that a budget is used up.
type BudgetExceededError struct{ After time.Duration }

func (*BudgetExceededError) Error() string {
	return "the budget of the caller, or of its client, is used up"
}

// AcquireBudget takes a request from the budget of a principal. It is called before any read from
// the API server.
func (b *Base) AcquireBudget(p Principal) (end func(), err error) {
	return b.AcquireBudgetAs(p.BudgetKey(), p.Client.Name)
}

// AcquireBudgetAs takes a request from the budgets of a caller, by its BudgetKey, and of a client.
func (b *Base) AcquireBudgetAs(caller, client string) (end func(), err error) {
	end, after := b.Budget.acquire(b.Now(), caller, client)
	if end == nil {
		return nil, &BudgetExceededError{after}
	}
	return end, nil
}

// WriteBudgetExceeded writes the response to an error of AcquireBudget.
func WriteBudgetExceeded(w http.ResponseWriter, err error) {
	after := time.Second
	if used, is := errors.AsType[*BudgetExceededError](err); is {
		after = used.After
	}
	WriteTooManyRequests(w, after)
}

// WriteTooManyRequests writes a 429 to a caller whose budget is used up.
func WriteTooManyRequests(w http.ResponseWriter, after time.Duration) {
	w.Header()["Retry-After"] = []string{RetryAfterSeconds(after)}
	WriteError(w, http.StatusTooManyRequests, "too_many_requests", "too many requests of this caller, or of its client; wait, and try again")
}
