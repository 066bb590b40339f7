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

// store is what logging in needs of the records.
type store interface {
	// Add stores a new record.
	Add(ctx context.Context, r record.Record) (record.Record, error)
	// Get reads the record of a name, as far as this replica knows. record.ErrGone if there is none.
	Get(ctx context.Context, name string) (record.Record, error)
	// Find reads the record of a digest. record.ErrGone if there is none.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
	// Of lists the records of an owner, as far as this replica knows.
	Of(ctx context.Context, owner record.Owner) ([]record.Record, error)
	// Family lists the records of a session, as far as this replica knows, or to be sure as the store does.
	Family(ctx context.Context, family token.Digest, sure bool) ([]record.Record, error)
	// Claim deletes a record, once for all who try.
	Claim(ctx context.Context, r record.Record) error
	// RetireAnyway deletes a record.
	RetireAnyway(ctx context.Context, r record.Record) error
}

// Bounds of what strangers can make us do.
const (
	// How often one name can be tried in vain, and one address: so many times at once, and then once in every so long.
	nameBurst, nameEvery       = 10, 6 * time.Second
	addressBurst, addressEvery = 50, time.Second
	mostKeys                   = 20_000 // names, addresses and sessions that are remembered
	// How often one name succeeds: so many times at once, and then once in every so long. It is far more than a program needs
	// that logs in for each of its jobs, and far less than a flood of correct passwords.
	successBurst, successEvery = 60, 100 * time.Millisecond
	// waitingFor each password check that runs, so many requests may wait. More are told to come again.
	waitingFor = 250
	// One source has one in sourceShare of all that run or wait. When there is no room left, the source with the most makes
	// room for others.
	sourceShare = 2
	// again is how long a name or a source waits that has as many checks as may run or wait.
	again = time.Second
	// longestWait is how long a request waits for its password to be checked. Later its answer would not arrive.
	longestWait = 10 * time.Second
	// sureReads is how often a second the store itself is asked about refresh tokens that this replica does not know, and
	// again so often about those of sessions that it does.
	sureReads = 20
	// One source has half of either at once, and then a quarter.
	readBurst, readEvery = sureReads / 2, 4 * time.Second / sureReads
	// One known session has so many of its own at once, and then one in every so long.
	sessionBurst, sessionEvery = 5, 2 * time.Second
	// How often one user exchanges a login for another, by a refresh or a change of the account: so many times at once, and
	// then once in every so long.
	exchangeBurst, exchangeEvery = 60, 100 * time.Millisecond
	// mostPatience is how long one request waits for the store.
	mostPatience = 5 * time.Second
	// mostRefreshing are the sessions whose last refresh is remembered.
	mostRefreshing = 10_000
)

// Options of a Service. All are required.
type Options struct {
	Directory *Directory
	Records   store
	// Ended is told of each credential whose record was deleted, before a watch can tell.
	Ended func(token.Digest)
	// Replayed is told of each session that ended since a used-up refresh token was presented, and of its record.
	Replayed func(u User, of record.Record, source netip.Addr)
	Checks   int // passwords that are checked at once, each on one core and in its own memory
	Entropy  io.Reader
	Now      func() time.Time
}

// Service logs people in. Safe for use by many.
type Service struct {
	Options
	checker    *password.Checker
	byName     *password.Limits  // failures
	byAddress  *password.Limits  // failures
	successes  *password.Limits  // by name
	exchanges  *password.Limits  // by user
	uncounted  chan struct{}     // held from the check of a password until its failure is counted
	strangers  *reads            // of sessions that this replica does not know
	acquainted *reads            // of those that it knows, for refresh tokens that are not the good one
	bySession  *password.Limits  // of acquainted, what is one session's
	turns      keymutex.KeyMutex // of users, who log in one at a time
	fresh      fresh
	refreshing *refreshing
}

// NewService returns one.
func NewService(o Options) *Service {
	checks := max(o.Checks, 1)
	return &Service{
		Options: o,
		checker: password.NewChecker(password.Options{
			Slots: checks, Waiting: waitingFor * checks, PerSource: (1 + waitingFor) * checks / sourceShare,
		}),
		byName:     password.NewLimits(password.LimitOptions{Burst: nameBurst, Every: nameEvery, Keys: mostKeys}),
		byAddress:  password.NewLimits(password.LimitOptions{Burst: addressBurst, Every: addressEvery, Keys: mostKeys}),
		successes:  password.NewLimits(password.LimitOptions{Burst: successBurst, Every: successEvery, Keys: mostKeys}),
		exchanges:  password.NewLimits(password.LimitOptions{Burst: exchangeBurst, Every: exchangeEvery, Keys: mostKeys}),
		uncounted:  make(chan struct{}, checks),
		strangers:  newReads(),
		acquainted: newReads(),
		bySession:  password.NewLimits(password.LimitOptions{Burst: sessionBurst, Every: sessionEvery, Keys: mostKeys}),
		turns:      keymutex.NewHashed(256),
		refreshing: newRefreshing(mostRefreshing),
	}
}

// Attempt is a name and a password, and where they came from.
type Attempt struct {
	Username string
	Password password.Secret
	Source   netip.Addr // that limits count it under
}

// Authenticate returns who logs in. ErrDenied if it is nobody who may; *Limited if the name or the source failed too often,
// the name succeeded too often, or either has too many checks under way; ErrUnavailable if too many wait. The bounds on
// checks and failures hold for unknown names too, so that they do not tell which names exist.
func (s *Service) Authenticate(ctx context.Context, a Attempt) (User, error) {
	if err := s.limited(a); err != nil {
		return User{}, err
	}
	u, known := s.Directory.ByUsername(a.Username)
	may := known && !u.Suspended && u.Credential != ""
	stored := u.Password
	if !may {
		stored = s.Directory.standIn(a.Username)
	}
	checks := false
	defer func() {
		if checks {
			<-s.uncounted
		}
	}()
	waiting, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	same, err := s.checker.Check(waiting, password.Check{
		Name: a.Username, Source: verify.SourceNetwork(a.Source), Stored: stored, Presented: a.Password,
		Still: func() error {
			s.uncounted <- struct{}{} // there are as many as checks at once, so one is about to be free
			checks = true
			return s.limited(a)
		},
	})
	if err != nil {
		return User{}, unchecked(err)
	}
	if !same || !may {
		now := s.Now()
		s.byName.Spend(now, a.Username)
		s.byAddress.Spend(now, address(a.Source))
		return User{}, ErrDenied
	}
	if !s.successes.Take(s.Now(), a.Username) { // checks that ran together may all have seen the last one
		return User{}, &Limited{successEvery}
	}
	now, there := s.Directory.User(u.Name) // while it was waited, much may have changed
	if !there || now.Username != u.Username || now.Suspended || now.UID != u.UID || now.Credential != u.Credential {
		return User{}, ErrDenied
	}
	return now, nil
}

// unchecked returns the error of a password that was not checked.
func unchecked(err error) error {
	if _, limited := errors.AsType[*Limited](err); limited {
		return err
	}
	if errors.Is(err, password.ErrTooMany) {
		return &Limited{again}
	}
	return unavailable(err)
}

func (s *Service) limited(a Attempt) error {
	now := s.Now()
	failed, _ := s.byName.Allowed(now, a.Username)
	from, _ := s.byAddress.Allowed(now, address(a.Source))
	succeeded, _ := s.successes.Allowed(now, a.Username)
	if after := max(failed, from, succeeded); after > 0 {
		return &Limited{after}
	}
	return nil
}

// address is what is limited together.
func address(a netip.Addr) string { return verify.SourceNetwork(a).String() }

// Account chooses the client of a login: the one of that account id, or that of the user's usual account if it is nil.
func (s *Service) Account(u User, id *int64) (Client, error) {
	if id == nil {
		a, ok := Usual(u.Accounts)
		if !ok {
			return Client{}, &Forbidden{"this user has no account to log in at"}
		}
		c, there := s.Directory.Client(a.Client)
		if !there || c.Suspended {
			return Client{}, &Forbidden{"the usual account of this user cannot be logged in at; name another one by its account_id"}
		}
		return c, nil
	}
	// An account of somebody else is as one that is not there.
	if c, ok := s.Directory.ByAccountID(*id); ok && u.has(c.Name) && !c.Suspended {
		return c, nil
	}
	return Client{}, &Invalid{"account_id", "is that of no account at which this user can log in"}
}

// At chooses the client of that name, if the user has an account there.
func (s *Service) At(u User, client string) (Client, bool) {
	c, ok := s.Directory.Client(client)
	return c, ok && u.has(client) && !c.Suspended
}

func (u User) has(client string) bool {
	for _, a := range u.Accounts {
		if a.Client == client {
			return true
		}
	}
	return false
}

// patiently bounds how long a request waits for the store. What was begun is ended, even if whoever asked has gone.
func patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), mostPatience)
}
