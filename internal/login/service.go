package login

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"k8s.io/utils/keymutex"

	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// recordStore is the part of the record store that logins need.
type recordStore interface {
	// Add stores a new record.
	Add(ctx context.Context, r record.Record) (record.Record, error)
	// Get returns the record of a name from this replica's cache, or record.ErrGone.
	Get(ctx context.Context, name string) (record.Record, error)
	// Find returns the record of a digest from the API server, or record.ErrGone.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
	// ListLogins lists logins of a user, or access tokens of an application token, from this
	// replica's cache. The list may lack what this replica has just stored, and hold what it has
	// just deleted.
	ListLogins(ctx context.Context, q record.LoginQuery) ([]record.Record, error)
	// ListByFamily lists the records of a session from this replica's cache, or from the API server
	// if sure is set.
	ListByFamily(ctx context.Context, family token.Digest, sure bool) ([]record.Record, error)
	// Claim deletes a record. It succeeds for exactly one of all concurrent callers.
	Claim(ctx context.Context, r record.Record) error
	// RetireAnyway deletes a record, whatever has changed about it since it was read.
	RetireAnyway(ctx context.Context, r record.Record) error
}

// Bounds on the work that unauthenticated callers can cause.
const (
	// A name at one source, an address, and a name at all sources may fail this many times in a row
	// (burst). After that, they may fail once in every interval. The first limit bounds what one
	// attacker guesses, and does not concern a user who is elsewhere. The last bounds what many
	// sources guess together: 100 passwords, and then 86,400 a day. It exempts sources that are
	// known for the name; see knownSources.
	nameBurst, nameEvery           = 10, 6 * time.Second
	addressBurst, addressEvery     = 50, time.Second
	nameTotalBurst, nameTotalEvery = 100, time.Second
	maxLimitKeys                   = 20_000 // keys that each limit remembers
	// A name may succeed this many times in a row, and then once in every interval. That is far
	// more than a program needs that logs in for each of its jobs. It is far less than a flood of
	// correct passwords.
	successBurst, successEvery = 60, 100 * time.Millisecond
	// maxWaitingPerCheck is how many requests may wait for each password check that runs. Further
	// requests are rejected and have to try again.
	maxWaitingPerCheck = 250
	// sourceShareDivisor is the divisor for the share of one source: it may have
	// 1/sourceShareDivisor of all checks that run or wait. When no room is left, the source with
	// the most waiting checks makes room for others.
	sourceShareDivisor = 2
	// checkRetryDelay is how long a name or a source must wait once it has as many checks as may
	// run or wait.
	checkRetryDelay = time.Second
	// maxCheckWait is how long a request waits for its password check. A later response would not
	// reach the caller.
	maxCheckWait = 10 * time.Second
	// liveReadsPerSecond is how many reads a second the API server gets about refresh tokens of
	// unknown sessions, which this replica does not know. Known sessions have the same number of
	// reads for themselves.
	liveReadsPerSecond = 20
	// One source may take half of the reads of a second at once, and then a quarter of the rate, of
	// either budget.
	sourceReadBurst, sourceReadEvery = liveReadsPerSecond / 2, 4 * time.Second / liveReadsPerSecond
	// A known session has this many reads of its own at once, and then one in every interval.
	sessionBurst, sessionEvery = 5, 2 * time.Second
	// One user may exchange a login for another this many times in a row, and then once in every
	// interval. An exchange is a refresh or a change of the account.
	exchangeBurst, exchangeEvery = 60, 100 * time.Millisecond
	// maxStoreWait is how long one request waits for the API server.
	maxStoreWait = 5 * time.Second
	// maxRememberedExchanges is the number of refresh tokens whose last exchange is remembered.
	maxRememberedExchanges = 10_000
)

// Options configures a Service. All fields are required.
type Options struct {
	Directory *Directory
	Records   recordStore
	// OnEnded is called for each credential whose record was deleted, before a watch can report it.
	OnEnded func(token.Digest)
	// OnReplayed is called for each session that ended because a used-up refresh token was
	// presented. It gets a record of that session.
	OnReplayed          func(u User, of record.Record, source netip.Addr)
	MaxConcurrentChecks int // password checks that run at once, each on one core and in memory of its own
	Entropy             io.Reader
	Now                 func() time.Time
}

// Service logs users in. It is safe for concurrent use.
type Service struct {
	Options
	checker             *password.Checker
	failuresAtSource    *password.Limits // by name and source
	failuresByName      *password.Limits // by name, except those at known sources
	failuresByAddress   *password.Limits
	known               *knownSources
	successesByName     *password.Limits  // by name
	exchangesByUser     *password.Limits  // by user
	uncountedChecks     chan struct{}     // held from the check of a password until its failure is counted
	unknownSessionReads *readLimits       // of unknown sessions: those that this replica does not know
	knownSessionReads   *readLimits       // of known sessions, for refresh tokens other than the current one
	readsBySession      *password.Limits  // limits the reads for one known session
	userLocks           keymutex.KeyMutex // by user: the logins of one user are opened one at a time
	accessLocks         keymutex.KeyMutex // by application token, so that no tenant can hold the lock of a user
	accessByClient      *password.Limits  // access tokens, by client
	unlisted            unlistedLogins
	ended               endedLogins
	unlistedAccess      unlistedLogins // access tokens, by the names of their owners
	bursts              *burstTracker
	recent              *recentChecks // passwords that were found right, for requests that open no login
	shared              sharedChecks
}

// NewService returns a Service without any history.
func NewService(o Options) *Service {
	checks := max(o.MaxConcurrentChecks, 1)
	return &Service{
		Options: o,
		checker: password.NewChecker(password.Options{
			Slots: checks, MaxWaiting: maxWaitingPerCheck * checks, MaxPerSource: (1 + maxWaitingPerCheck) * checks / sourceShareDivisor,
		}),
		failuresAtSource:    password.NewLimits(password.LimitOptions{Burst: nameBurst, Every: nameEvery, Keys: maxLimitKeys}),
		failuresByName:      password.NewLimits(password.LimitOptions{Burst: nameTotalBurst, Every: nameTotalEvery, Keys: maxLimitKeys}),
		failuresByAddress:   password.NewLimits(password.LimitOptions{Burst: addressBurst, Every: addressEvery, Keys: maxLimitKeys}),
		known:               newKnownSources(),
		successesByName:     password.NewLimits(password.LimitOptions{Burst: successBurst, Every: successEvery, Keys: maxLimitKeys}),
		exchangesByUser:     password.NewLimits(password.LimitOptions{Burst: exchangeBurst, Every: exchangeEvery, Keys: maxLimitKeys}),
		uncountedChecks:     make(chan struct{}, checks),
		unknownSessionReads: newReadLimits(),
		knownSessionReads:   newReadLimits(),
		readsBySession:      password.NewLimits(password.LimitOptions{Burst: sessionBurst, Every: sessionEvery, Keys: maxLimitKeys}),
		userLocks:           keymutex.NewHashed(256),
		accessLocks:         keymutex.NewHashed(256),
		accessByClient:      password.NewLimits(password.LimitOptions{Burst: accessBurst, Every: accessEvery, Keys: maxLimitKeys}),
		bursts:              newBurstTracker(maxRememberedExchanges),
		recent:              newRecentChecks(),
	}
}

// Attempt is a user name and a password, and the address that they came from.
type Attempt struct {
	Username string
	Password password.Secret
	Source   netip.Addr // the limits count the attempt under this address
	// Admits reports whether the attempt may wait for a check, where a recent one does not answer.
	// nil means that it may.
	Admits func() bool
}

// Authenticate returns the user who logs in. It returns ErrDenied if no user may log in with this
// name and password. It returns *Limited if the name or the source failed too often, the name
// succeeded too often, or either has too many checks under way. It returns ErrUnavailable if too
// many checks wait. The bounds on checks and failures hold for unknown names too, so they do not
// reveal which names exist. One exception is left, for a caller in the network of a user who logged
// in lately. While failures elsewhere use up what the name may fail, that network is exempt.
func (s *Service) Authenticate(ctx context.Context, a Attempt) (User, error) {
	network := verify.SourceNetwork(a.Source)
	isKnown := s.known.contains(s.Now(), a.Username, network)
	if err := s.limitError(a, isKnown); err != nil {
		return User{}, err
	}
	u, known := s.Directory.ByUsername(a.Username)
	may := known && !u.Suspended && u.Credential != ""
	stored := u.Password
	if !may {
		stored = s.Directory.decoyFor(a.Username)
	}
	checks := false
	defer func() {
		if checks {
			<-s.uncountedChecks
		}
	}()
	waiting, cancel := context.WithTimeout(ctx, maxCheckWait)
	defer cancel()
	same, err := s.checker.Check(waiting, password.Check{
		Name: a.Username, Source: network, IsKnown: isKnown, Stored: stored, Presented: a.Password,
		Recheck: func() error {
			s.uncountedChecks <- struct{}{} // there are as many as checks at once, so one is about to be free
			checks = true
			return s.limitError(a, isKnown)
		},
	})
	if err != nil {
		return User{}, checkError(err)
	}
	if !same || !may {
		s.countFailure(a, isKnown)
		return User{}, ErrDenied
	}
	// Concurrent checks may all have seen the last attempt that was left.
	if !s.successesByName.Take(s.Now(), a.Username) {
		return User{}, &Limited{successEvery}
	}
	now, there := s.Directory.User(u.Name) // the user may have changed while the check waited
	if !there || now.Username != u.Username || now.Suspended || now.UID != u.UID || now.Credential != u.Credential {
		return User{}, ErrDenied
	}
	s.known.add(s.Now(), a.Username, network)
	return now, nil
}

// countFailure counts a failure against the limits.
func (s *Service) countFailure(a Attempt, isKnown bool) {
	now := s.Now()
	s.failuresAtSource.Spend(now, a.limitKey())
	s.failuresByAddress.Spend(now, limitKey(a.Source))
	if !isKnown {
		s.failuresByName.Spend(now, a.Username)
	}
}

// checkError returns the error for a password that was not checked.
func checkError(err error) error {
	if _, limited := errors.AsType[*Limited](err); limited {
		return err
	}
	if errors.Is(err, password.ErrTooMany) {
		return &Limited{checkRetryDelay}
	}
	return unavailableError(err)
}

// limitError returns *Limited if an attempt is beyond a limit. isKnown exempts it from the limit of
// its name at all sources.
func (s *Service) limitError(a Attempt, isKnown bool) error {
	now := s.Now()
	failed, _ := s.failuresAtSource.Allowed(now, a.limitKey())
	from, _ := s.failuresByAddress.Allowed(now, limitKey(a.Source))
	succeeded, _ := s.successesByName.Allowed(now, a.Username)
	after := max(failed, from, succeeded)
	if !isKnown {
		total, _ := s.failuresByName.Allowed(now, a.Username)
		after = max(after, total)
	}
	if after > 0 {
		return &Limited{after}
	}
	return nil
}

// limitKey returns the key under which the limits count an address.
func limitKey(a netip.Addr) string { return verify.SourceNetwork(a).String() }

// limitKey returns the key under which the limits count an attempt by its name and source. The
// source comes first, since it holds no NUL and a name may.
func (a Attempt) limitKey() string { return limitKey(a.Source) + "\x00" + a.Username }

// Account returns the client of a login: the client with that account ID, or the client of the
// user's usual account if id is nil.
func (s *Service) Account(u User, id *int64) (Client, error) {
	if id == nil {
		a, ok := DefaultAccount(u.Accounts)
		if !ok {
			return Client{}, &Forbidden{"this user has no account to log in at"}
		}
		c, there := s.Directory.Client(a.Client)
		if !there || c.Suspended {
			return Client{}, &Forbidden{"the usual account of this user cannot be logged in at; name another one by its account_id"}
		}
		return c, nil
	}
	// An account of another user gets the same error as an account that does not exist.
	if c, ok := s.Directory.ByAccountID(*id); ok && u.hasAccountAt(c.Name) && !c.Suspended {
		return c, nil
	}
	return Client{}, &Invalid{"account_id", "is that of no account at which this user can log in"}
}

// ClientByName returns the client of that name, and whether the user can log in there: the user has
// an account there, and the client is not suspended.
func (s *Service) ClientByName(u User, client string) (Client, bool) {
	c, ok := s.Directory.Client(client)
	return c, ok && u.hasAccountAt(client) && !c.Suspended
}

func (u User) hasAccountAt(client string) bool {
	for _, a := range u.Accounts {
		if a.Client == client {
			return true
		}
	}
	return false
}

// withStoreTimeout bounds how long a request waits for the API server. An operation that has begun
// runs to its end, even if the caller has gone.
func withStoreTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), maxStoreWait)
}
