package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login/password"
)

const (
	loginClient  = "people" // name of the Client at which the users log in
	usersPerHash = 512      // users for each hash; so many that no user reaches the limits of a name
	maxSessions  = 1000     // per user, so that no login ends another
	userPassword = "correct horse battery staple"
)

// hashing is a way to hash passwords. Its users share one Secret.
type hashing struct {
	userPrefix string // prefix of their names
	secretName string // name of their Secret
	label      string
	hash       func() (string, error)
	goal       *goal // for logins relative to the bare hash; nil: none
}

// The hashes. strong takes most of the time of a login. usual takes so little that the writes show
// beside it. quick takes almost none, so that only the rest is measured.
var (
	strongHash = hashing{
		"strong", "password-strong", "argon2id m=64 MiB t=3 p=4",
		func() (string, error) { return argon2id(64<<10, 3, 4) }, atLeast(0.9), // RFC 9106, 4: the second recommended option
	}
	usualHash = hashing{
		"usual", "password-usual", "argon2id m=19 MiB t=2 p=1",
		func() (string, error) { return password.Hash(password.NewSecret(userPassword), rand.Reader) }, nil,
	}
	quickHash = hashing{
		"quick", "password-quick", "argon2id m=8 KiB t=1 p=1",
		func() (string, error) { return argon2id(8, 1, 1) }, nil,
	}
)

// argon2id returns a hash of the users' password in PHC form.
func argon2id(kiB, passes uint32, lanes uint8) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", kiB, passes, lanes,
		b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(userPassword), salt, passes, kiB, lanes, 32))), nil
}

func (h hashing) user(i int) string { return fmt.Sprintf("%s-%02d", h.userPrefix, i%usersPerHash) }

// loginUsers are users on a testbed, and the address at which they log in.
type loginUsers struct {
	*testbed
	endpoint string
	checks   int // passwords that are checked at once, by the operator and by the bare hash
	stored   map[string]password.Stored
}

// measureLogins measures logins, and the requests of clients that have logged in.
func measureLogins(ctx context.Context, b *bench) error {
	s, err := b.newTestbed(ctx)
	if err != nil {
		return err
	}
	p := &loginUsers{testbed: s, checks: runtime.GOMAXPROCS(0), stored: map[string]password.Stored{}}
	if err := p.createUsers(ctx, strongHash, usualHash, quickHash); err != nil {
		return err
	}
	if err := p.startServing(ctx); err != nil {
		return err
	}
	r := b.report.section("logins")
	for _, h := range []hashing{strongHash, usualHash} {
		if err := p.measureLogin(ctx, b, r, h); err != nil {
			return err
		}
	}
	if err := p.measureLoginFlood(ctx, b, r, usualHash); err != nil {
		return err
	}
	if err := p.measureMixedLogins(ctx, b, r); err != nil {
		return err
	}
	return p.measureBurst(ctx, b, r, usualHash)
}

// createUsers creates the Client, the Users and the Secrets with their password hashes.
func (p *loginUsers) createUsers(ctx context.Context, ways ...hashing) error {
	admin := p.clients[0]
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
	if err := admin.Create(ctx, c); err != nil {
		return fmt.Errorf("create Client %s: %w", loginClient, err)
	}
	for _, h := range ways {
		var err error
		if p.stored[h.userPrefix], err = storePassword(ctx, p.testbed, h); err != nil {
			return err
		}
		err = p.inParallel(ctx, "users", usersPerHash, func(ctx context.Context, c client.Client, i int) error {
			return c.Create(ctx, newLoginUser(h.user(i), h.secretName, loginClient))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// storePassword creates the Secret with the password hash of h.
func storePassword(ctx context.Context, s *testbed, h hashing) (password.Stored, error) {
	hash, err := h.hash()
	if err != nil {
		return password.Stored{}, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: h.secretName},
		StringData: map[string]string{"passwordHash": hash},
	}
	if err := s.clients[0].Create(ctx, secret); err != nil {
		return password.Stored{}, fmt.Errorf("create Secret %s: %w", h.secretName, err)
	}
	return password.ParseHash(hash)
}

// newLoginUser returns a User with an account at a client. Its password is in the Secret of the
// given name.
func newLoginUser(name, secret, client string) *v1alpha1.User {
	return &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.UserSpec{
			PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(secret)},
			Accounts:          []v1alpha1.Account{{Client: client, Roles: []v1alpha1.RoleName{"primary", "developer"}}},
		},
	}
}

// startServing starts the operator with its endpoints. It serves its own namespace only, and
// ignores what plain clients write to another.
func (p *loginUsers) startServing(ctx context.Context) error {
	var err error
	if p.endpoint, err = freeAddress(ctx); err != nil {
		return err
	}
	return p.startOperator(ctx, "--plain-http", "--bind-address="+p.endpoint, "--shutdown-delay=0s",
		"--namespaces="+ownNamespace, fmt.Sprintf("--password-checks=%d", p.checks))
}

// measureLogin compares logins with bare checks of the same password in this process, as many at
// once. Each has all cores in its turn. In the operator's turn, the API server, etcd and the
// clients share them.
func (p *loginUsers) measureLogin(ctx context.Context, b *bench, r reportSection, h hashing) error {
	var requests [][]byte
	for i := range usersPerHash {
		form := url.Values{"grant_type": {"password"}, "username": {h.user(i)}, "password": {userPassword}}
		requests = append(requests, rawRequest("POST", "/oauth2/token", "", "application/x-www-form-urlencoded", form.Encode()))
	}
	operator := httpTarget("login, "+h.label, p.endpoint, requests)
	bare := p.bareHash(h)
	// The operator writes its count of each user's logins up to five seconds later. These writes
	// are no part of hashing, so they must end before the turn of the bare hash.
	bare.before = func(ctx context.Context) error {
		_, err := p.waitQuietFor(ctx, b.loginTurn+time.Second, restPatience)
		return err
	}
	for _, c := range []loadTarget{operator, bare} { // warm-up
		if _, err := c.run(ctx, b.loginTurn/4); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	used := p.usage()
	v, err := b.turnsOf(b.loginTurn).compareLoad(ctx, operator, bare)
	if err != nil {
		return err
	}
	p.logf("logins and bare hashes: %s", p.usage().since(used))
	r.addRatio("login, "+h.label+", beside the bare hash", v[0].rate, "/s", v[1].rate, h.goal)
	return nil
}

// bareHash returns a target that checks the password and does nothing else.
func (p *loginUsers) bareHash(h hashing) loadTarget {
	checker := password.NewChecker(password.Options{Slots: p.checks, MaxWaiting: concurrency, MaxPerSource: concurrency})
	secret := password.NewSecret(userPassword)
	once := func(ctx context.Context, asker int) error {
		same, err := checker.Check(ctx, password.Check{Name: h.user(asker), Stored: p.stored[h.userPrefix], Presented: secret})
		if err == nil && !same {
			err = fmt.Errorf("the password of %s is another", h.userPrefix)
		}
		return err
	}
	return loadTarget{name: "the hash alone, " + h.label, ask: func(ctx context.Context, asker int) (func() error, func(), error) {
		return func() error { return once(ctx, asker) }, func() {}, nil
	}}
}
