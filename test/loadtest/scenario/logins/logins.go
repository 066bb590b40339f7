package logins

import (
	"context"
	"fmt"
	"net/url"
	"runtime"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

const (
	loginClient = "members" // name of the Client at which the users log in
	maxSessions = 1000      // per user, so that no login ends another
)

// loginUsers are users on a testbed, and the address at which they log in.
type loginUsers struct {
	*testbed.Testbed
	endpoint string
	checks   int // passwords that are checked at once, by the operator and by the bare hash
	stored   map[string]password.Stored
}

// Measure measures logins, and the requests of clients that have logged in.
func Measure(ctx context.Context, b *scenario.Run) error {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return err
	}
	p := &loginUsers{Testbed: s, checks: runtime.GOMAXPROCS(0), stored: map[string]password.Stored{}}
	if err := p.createUsers(ctx, scenario.StrongHash, scenario.UsualHash, scenario.QuickHash); err != nil {
		return err
	}
	if err := p.startServing(ctx); err != nil {
		return err
	}
	r := b.Report.Table("logins")
	for _, h := range []scenario.Hashing{scenario.StrongHash, scenario.UsualHash} {
		if err := p.measureLogin(ctx, b, r, h); err != nil {
			return err
		}
	}
	if err := p.measureLoginFlood(ctx, b, r, scenario.UsualHash); err != nil {
		return err
	}
	if err := p.measureSOAP(ctx, b, r); err != nil {
		return err
	}
	if err := p.measureMixedLogins(ctx, b, r); err != nil {
		return err
	}
	return p.measureBurst(ctx, b, r, scenario.UsualHash)
}

// createClient creates the Client at which the users log in.
func (p *loginUsers) createClient(ctx context.Context) error {
	c := &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: loginClient},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{
				{Name: "primary", Permissions: []v1alpha1.Permission{"search.*", "sec.continuous.rest"}},
				{Name: "developer", Permissions: []v1alpha1.Permission{"sec.application-token.*"}},
			},
			Logins: v1alpha1.LoginPolicy{MaxSessionsPerUser: new(int32(maxSessions))},
		},
	}
	if err := p.Clients[0].Create(ctx, c); err != nil {
		return fmt.Errorf("create Client %s: %w", loginClient, err)
	}
	return nil
}

// createUsers creates the Client, the Users and the Secrets with their password hashes.
func (p *loginUsers) createUsers(ctx context.Context, ways ...scenario.Hashing) error {
	if err := p.createClient(ctx); err != nil {
		return err
	}
	for _, h := range ways {
		var err error
		if p.stored[h.UserPrefix], err = scenario.StorePassword(ctx, p.Testbed, h); err != nil {
			return err
		}
		err = p.InParallel(ctx, "users", scenario.UsersPerHash, func(ctx context.Context, c client.Client, i int) error {
			return c.Create(ctx, scenario.NewUser(h.User(i), h.SecretName, loginClient))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startServing starts the operator with its endpoints. It serves its own namespace only, and
// ignores what plain clients write to another.
func (p *loginUsers) startServing(ctx context.Context) error {
	var err error
	if p.endpoint, err = testbed.FreeAddress(ctx); err != nil {
		return err
	}
	return p.StartOperator(ctx, "--plain-http", "--bind-address="+p.endpoint, "--shutdown-delay=0s",
		"--namespaces="+testbed.OwnNamespace, fmt.Sprintf("--password-checks=%d", p.checks))
}

// measureLogin compares logins with bare checks of the same password in this process, as many at
// once. Each has all cores in its turn. In the operator's turn, the API server, etcd and the
// clients share them.
func (p *loginUsers) measureLogin(ctx context.Context, b *scenario.Run, r report.Table, h scenario.Hashing) error {
	var requests [][]byte
	for i := range scenario.UsersPerHash {
		form := url.Values{"grant_type": {"password"}, "username": {h.User(i)}, "password": {scenario.UserPassword}}
		requests = append(requests, load.RawRequest("POST", "/oauth2/token", "", "application/x-www-form-urlencoded", form.Encode()))
	}
	operator := load.HTTPTarget("login, "+h.Label, p.endpoint, requests)
	bare := p.bareHash(h)
	// The operator writes its count of each user's logins up to five seconds later. These writes
	// are no part of hashing, so they must end before the turn of the bare hash.
	bare.Before = func(ctx context.Context) error {
		_, err := p.WaitQuietFor(ctx, b.LoginTurn+time.Second, testbed.RestPatience)
		return err
	}
	for _, c := range []load.Target{operator, bare} { // warm-up
		if _, err := c.Run(ctx, b.LoginTurn/4); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	used := p.Usage()
	v, err := b.TurnsLasting(b.LoginTurn).Compare(ctx, operator, bare)
	if err != nil {
		return err
	}
	p.Logf("logins and bare hashes: %s", p.Usage().Since(used))
	r.AddRatio("login, "+h.Label+", beside the bare hash", v[0].Rate, "/s", v[1].Rate, h.Goal)
	return nil
}

// bareHash returns a target that checks the password and does nothing else.
func (p *loginUsers) bareHash(h scenario.Hashing) load.Target {
	checker := password.NewChecker(password.Options{Slots: p.checks, MaxWaiting: load.Concurrency, MaxPerSource: load.Concurrency})
	secret := password.NewSecret(scenario.UserPassword)
	once := func(ctx context.Context, asker int) error {
		same, err := checker.Check(ctx, password.Check{Name: h.User(asker), Stored: p.stored[h.UserPrefix], Presented: secret})
		if err == nil && !same {
			err = fmt.Errorf("the password of %s is another", h.UserPrefix)
		}
		return err
	}
	return load.Target{Name: "the hash alone, " + h.Label, Ask: func(ctx context.Context, asker int) (func() error, func(), error) {
		return func() error { return once(ctx, asker) }, func() {}, nil
	}}
}
