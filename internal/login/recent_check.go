package login

import (
	"context"
	"crypto/subtle"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/verify"
)

const (
	// maxCheckAge is how long the result of a password check is used again.
	maxCheckAge = time.Minute
	// recentSets and recentWays bound the results that are kept: that many users, of which that
	// many may have names that fall into one set.
	recentSets, recentWays = 512, 4
	// maxAccountChoices is how many choices of an account are kept for one user.
	maxAccountChoices = 8
	// maxCheckSources is how many addresses are kept from which one password was found right.
	maxCheckSources = 16
	// maxUncountedMisses is how many wrong passwords may come from an address from which the right
	// one came. After that, the limits of logins apply to the right one too. Without it, a caller
	// behind that address could guess without limit.
	maxUncountedMisses = nameBurst
)

// AccountChoice selects the account of a user, for one request.
type AccountChoice struct {
	ID        int64  // the account ID; 0: none
	Preferred string // the client to choose without an account ID, if the user has an account there
}

// recentChecks keeps passwords that were found right within the last minute, each as a keyed hash.
// So a program can present a name and a password with each of its requests. Wrong passwords are not
// kept, so a caller displaces an entry only with a right password.
//
// At an address from which a password was found right before, the limits of logins do not apply to
// it. So the failures of other callers do not refuse it. At every other address they apply.
// Otherwise the entries would show a caller, beyond all limits, which of its guesses is right.
//
// An entry ends with its user, with the password, and when the user is suspended. It is valid only
// for the state of the directory at which it was confirmed, and it is confirmed again after each
// change. Reading takes no lock.
type recentChecks struct {
	hasher *password.Hasher
	seed   maphash.Seed // keeps callers from choosing names that share a set
	mu     sync.Mutex   // held by writers of new entries
	sets   [recentSets][recentWays]atomic.Pointer[recentCheck]
}

// recentCheck is a password that was found right. It never changes, except for misses.
type recentCheck struct {
	sum     password.KeyedHash // of the username, the password and its fingerprint
	user    User
	until   time.Time
	version uint64 // of the directory, at which user was its state
	choices []chosenAccount
	sources []netip.Prefix // from which the password was found right
	misses  *atomic.Int32  // wrong passwords from these sources
}

type chosenAccount struct {
	AccountChoice
	client string
}

func newRecentChecks() *recentChecks {
	return &recentChecks{hasher: password.NewHasher(), seed: maphash.MakeSeed()}
}

func (c *recentChecks) set(username string) *[recentWays]atomic.Pointer[recentCheck] {
	return &c.sets[maphash.String(c.seed, username)%recentSets]
}

// find returns the entry of a name and a password, and its place. The caller must confirm it. If
// isFree is false, the limits of logins apply. It counts a wrong password from a source of the
// entry.
func (c *recentChecks) find(now time.Time, a Attempt) (e *recentCheck, place *atomic.Pointer[recentCheck], isFree bool) {
	set := c.set(a.Username)
	for i := range set {
		e := set[i].Load()
		if e == nil || e.user.Username != a.Username || !now.Before(e.until) {
			continue
		}
		isKnown := slices.Contains(e.sources, verify.SourceNetwork(a.Source))
		sum, ok := c.hasher.Sum(a.Username, a.Password, e.user.Credential)
		switch {
		case ok && subtle.ConstantTimeCompare(sum[:], e.sum[:]) == 1:
			return e, &set[i], isKnown && e.misses.Load() < maxUncountedMisses
		case isKnown && e.misses.Load() < maxUncountedMisses:
			e.misses.Add(1)
		}
	}
	return nil, nil, false
}

// add adds an entry, in place of that of the same user, of one that has ended, or of the oldest in
// its set. It removes all entries that have ended.
func (c *recentChecks) add(now time.Time, e *recentCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.sets {
		for j := range c.sets[i] {
			if old := c.sets[i][j].Load(); old != nil && !now.Before(old.until) {
				c.sets[i][j].CompareAndSwap(old, nil)
			}
		}
	}
	c.place(e.user.Username).Store(e)
}

// place returns where the entry of a username belongs.
func (c *recentChecks) place(username string) *atomic.Pointer[recentCheck] {
	set := c.set(username)
	oldest, end := &set[0], time.Time{}
	for i := range set {
		switch old := set[i].Load(); {
		case old != nil && old.user.Username == username:
			return &set[i]
		case old == nil:
			oldest, end = &set[i], time.Time{}
		case i == 0 || old.until.Before(end):
			oldest, end = &set[i], old.until
		}
	}
	return oldest
}

// confirm returns an entry whose user is in the state of the directory now. It returns nil if the
// user, the password or the right to log in is gone.
func (s *Service) confirm(e *recentCheck, place *atomic.Pointer[recentCheck]) *recentCheck {
	version := s.Directory.version.Load()
	if e.version == version {
		return e
	}
	u, known := s.Directory.ByUsername(e.user.Username)
	if !known || u.UID != e.user.UID || u.Suspended || u.Credential != e.user.Credential {
		place.CompareAndSwap(e, nil)
		return nil
	}
	confirmed := *e
	confirmed.user, confirmed.version, confirmed.choices = u, version, nil
	place.CompareAndSwap(e, &confirmed)
	return &confirmed
}

// recall returns the entry of a name and a password that were found right within the last minute,
// and its place.
func (s *Service) recall(a Attempt) (*recentCheck, *atomic.Pointer[recentCheck]) {
	e, place, isFree := s.recent.find(s.Now(), a)
	if e == nil || !isFree && s.limitsOf(a) != nil {
		return nil, nil
	}
	e = s.confirm(e, place)
	if source := verify.SourceNetwork(a.Source); e != nil && len(e.sources) < maxCheckSources && !slices.Contains(e.sources, source) {
		with := *e
		with.sources = append(slices.Clone(e.sources), source)
		if place.CompareAndSwap(e, &with) {
			return &with, place
		}
	}
	return e, place
}

// remember keeps a password that was found right just now.
func (s *Service) remember(a Attempt, u User) {
	sum, ok := s.recent.hasher.Sum(a.Username, a.Password, u.Credential)
	if !ok || u.Username != a.Username {
		return
	}
	now := s.Now()
	s.recent.add(now, &recentCheck{ // version 0: confirmed at the first use
		sum: sum, user: u, until: now.Add(maxCheckAge), sources: []netip.Prefix{verify.SourceNetwork(a.Source)}, misses: &atomic.Int32{},
	})
}

// AuthenticateAt returns the user of a name and a password, and the name of the client that the
// user acts at. It uses the result of a check of the last minute, and then takes no lock. It is for
// requests that use what exists, and never for those that open a login or make a token.
//
// Beside the errors of Authenticate it returns *Invalid or *Forbidden if the password is right, and
// the account cannot be used.
func (s *Service) AuthenticateAt(ctx context.Context, a Attempt, at AccountChoice) (User, string, error) {
	e, place := s.recall(a)
	if e == nil {
		u, err := s.AuthenticateOnce(ctx, a)
		if err != nil {
			return User{}, "", err
		}
		client, err := s.chooseClient(u, at)
		return u, client, err
	}
	if i := slices.IndexFunc(e.choices, func(c chosenAccount) bool { return c.AccountChoice == at }); i >= 0 {
		return e.user, e.choices[i].client, nil
	}
	client, err := s.chooseClient(e.user, at)
	if err == nil && len(e.choices) < maxAccountChoices {
		with := *e
		with.choices = append(slices.Clone(e.choices), chosenAccount{at, client})
		place.CompareAndSwap(e, &with)
	}
	return e.user, client, err
}

// chooseClient returns the name of the client that a user acts at.
func (s *Service) chooseClient(u User, at AccountChoice) (string, error) {
	if at.ID != 0 {
		c, err := s.Account(u, &at.ID)
		return c.Name, err
	}
	if c, there := s.ClientByName(u, at.Preferred); there {
		return c.Name, nil
	}
	c, err := s.Account(u, nil)
	return c.Name, err
}

// AuthenticateRecent is Authenticate for a request that only reads. It uses the result of a check
// of the last minute.
func (s *Service) AuthenticateRecent(ctx context.Context, a Attempt) (User, error) {
	if e, _ := s.recall(a); e != nil {
		return e.user, nil
	}
	return s.AuthenticateOnce(ctx, a)
}
