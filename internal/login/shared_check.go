package login

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/verify"
)

// sharedChecks lets concurrent requests with one name and one password share one check. Without it,
// the burst of a program that presents both with each request would reach the limit of checks of
// one name.
type sharedChecks struct {
	mu      sync.Mutex
	running map[password.KeyedHash]*sharedCheck
}

// sharedCheck is a check that requests wait for.
type sharedCheck struct {
	waiting int // requests; guarded by the mutex of sharedChecks
	cancel  context.CancelFunc
	done    chan struct{} // closed at the end; user and err are set before
	user    User
	err     error
}

// AuthenticateOnce is Authenticate, and shares a check of the same name and password that runs or
// waits. A check that no request waits for any more ends.
//
// The limits of one address do not decide about another. An address beyond its limits joins no
// check. A request that joined one of another address, which was then limited, tries once more.
func (s *Service) AuthenticateOnce(ctx context.Context, a Attempt) (User, error) {
	sum, ok := s.recent.hasher.Sum(a.Username, a.Password, "")
	if !ok { // it matches nothing, and the check takes as long
		return s.Authenticate(ctx, a)
	}
	u, isOwn, err := s.joinCheck(ctx, sum, a)
	if _, isLimited := errors.AsType[*Limited](err); isLimited && !isOwn {
		u, _, err = s.joinCheck(ctx, sum, a)
	}
	return u, err
}

// joinCheck joins the running check of a name and a password, or starts one. isOwn reports whether
// the result is that of this attempt and of no other one.
func (s *Service) joinCheck(ctx context.Context, sum password.KeyedHash, a Attempt) (u User, isOwn bool, err error) {
	if err := s.limitsOf(a); err != nil {
		return User{}, true, err
	}
	if a.Admits != nil && !a.Admits() {
		return User{}, true, unavailableError(password.ErrBusy)
	}
	c, isOwn := s.shared.join(ctx, sum, func(ctx context.Context, c *sharedCheck) {
		c.user, c.err = s.authenticateSafely(ctx, a)
		if c.err == nil {
			s.remember(a, c.user)
		}
	})
	select {
	case <-c.done:
		return c.user, isOwn, c.err
	case <-ctx.Done():
		s.shared.leave(sum, c)
		return User{}, isOwn, unavailableError(ctx.Err())
	}
}

// limitsOf returns *Limited if an attempt is beyond the limits of logins.
func (s *Service) limitsOf(a Attempt) error {
	return s.limitError(a, s.known.contains(s.Now(), a.Username, verify.SourceNetwork(a.Source)))
}

// errCheckFailed reports that a check ended without a result.
var errCheckFailed = errors.New("the password check failed")

// authenticateSafely is Authenticate, and turns a panic into an error: no caller could recover it
// in another goroutine.
func (s *Service) authenticateSafely(ctx context.Context, a Attempt) (u User, err error) {
	defer func() {
		if p := recover(); p != nil {
			u, err = User{}, unavailableError(fmt.Errorf("%w: %v", errCheckFailed, p))
		}
	}()
	return s.Authenticate(ctx, a)
}

// join returns the running check of a key. If there is none, it starts one, and isNew is set. The
// check does not end with ctx, since other requests may wait for it.
func (f *sharedChecks) join(ctx context.Context, key password.KeyedHash, run func(context.Context, *sharedCheck)) (c *sharedCheck, isNew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.running[key]; c != nil {
		c.waiting++
		return c, false
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c = &sharedCheck{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if f.running == nil {
		f.running = map[password.KeyedHash]*sharedCheck{}
	}
	f.running[key] = c
	go func() {
		defer cancel()
		run(ctx, c)
		f.mu.Lock()
		if f.running[key] == c {
			delete(f.running, key)
		}
		f.mu.Unlock()
		close(c.done)
	}()
	return c, true
}

// leave is called by a request that does not wait any longer. The check ends with the last of them.
func (f *sharedChecks) leave(key password.KeyedHash, c *sharedCheck) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.waiting--; c.waiting == 0 {
		c.cancel()
		if f.running[key] == c { // later requests start a check of their own
			delete(f.running, key)
		}
	}
}
