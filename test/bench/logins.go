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
	peopleClient = "people" // name of the Client at which the users log in
	usersEach    = 512      // users for each hash; so many that no user reaches the limits of a name
	mostSessions = 1000     // per user, so that no login ends another
	theirWord    = "correct horse battery staple"
)

// hashing is a way to hash passwords. Its users share one Secret.
type hashing struct {
	users string // prefix of their names
	words string // name of their Secret
	says  string
	hash  func() (string, error)
	goal  *goal // for logins relative to the bare hash; nil: none
}

// The hashes. strong takes most of the time of a login. usual takes so little that the writes show
// beside it. quick takes almost none, so that only the rest is measured.
var (
	strong = hashing{
		"strong", "password-strong", "argon2id m=64 MiB t=3 p=4",
		func() (string, error) { return argon2id(64<<10, 3, 4) }, atLeast(0.9), // RFC 9106, 4: the second recommended option
	}
	usual = hashing{
		"usual", "password-usual", "argon2id m=19 MiB t=2 p=1",
		func() (string, error) { return password.Hash(password.Take(theirWord), rand.Reader) }, nil,
	}
	quick = hashing{
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
		b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(theirWord), salt, passes, kiB, lanes, 32))), nil
}

func (h hashing) user(i int) string { return fmt.Sprintf("%s-%02d", h.users, i%usersEach) }

// people are users on a testbed, and the address at which they log in.
type people struct {
	*stage
	door   string
	checks int // passwords that are checked at once, by the operator and by the bare hash
	stored map[string]password.Stored
}

// measureLogins measures logins, and the requests of clients that have logged in.
func measureLogins(ctx context.Context, b *bench) error {
	s, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	p := &people{stage: s, checks: runtime.GOMAXPROCS(0), stored: map[string]password.Stored{}}
	if err := p.moveIn(ctx, strong, usual, quick); err != nil {
		return err
	}
	if err := p.openDoor(ctx); err != nil {
		return err
	}
	r := b.report.in("logins")
	for _, h := range []hashing{strong, usual} {
		if err := p.logIn(ctx, b, r, h); err != nil {
			return err
		}
	}
	if err := p.floodLogins(ctx, b, r, usual); err != nil {
		return err
	}
	if err := p.trade(ctx, b, r); err != nil {
		return err
	}
	return p.crush(ctx, b, r, usual)
}

// moveIn creates the Client, the Users and the Secrets with their password hashes.
func (p *people) moveIn(ctx context.Context, ways ...hashing) error {
	admin := p.clients[0]
	c := &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: peopleClient},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{
				{Name: "primary", Permissions: []v1alpha1.Permission{"search.*", "sec.continuous.rest"}},
				{Name: "developer", Permissions: []v1alpha1.Permission{"sec.application-token.*"}},
			},
			Logins: v1alpha1.LoginPolicy{MaxSessionsPerUser: new(int32(mostSessions))},
		},
	}
	if err := admin.Create(ctx, c); err != nil {
		return fmt.Errorf("create Client %s: %w", peopleClient, err)
	}
	for _, h := range ways {
		var err error
		if p.stored[h.users], err = p.storePassword(ctx, h); err != nil {
			return err
		}
		err = p.all(ctx, "users", usersEach, func(ctx context.Context, c client.Client, i int) error {
			return c.Create(ctx, declareUser(h.user(i), h.words, peopleClient))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// storePassword creates the Secret with the password hash of h.
func (s *stage) storePassword(ctx context.Context, h hashing) (password.Stored, error) {
	hash, err := h.hash()
	if err != nil {
		return password.Stored{}, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: h.words},
		StringData: map[string]string{"passwordHash": hash},
	}
	if err := s.clients[0].Create(ctx, secret); err != nil {
		return password.Stored{}, fmt.Errorf("create Secret %s: %w", h.words, err)
	}
	return password.ReadHash(hash)
}

// declareUser returns a User with an account at a client. Its password is in the Secret of the
// given name.
func declareUser(name, secret, client string) *v1alpha1.User {
	return &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.UserSpec{
			PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(secret)},
			Accounts:          []v1alpha1.Account{{Client: client, Roles: []v1alpha1.RoleName{"primary", "developer"}}},
		},
	}
}

// openDoor starts the operator with its endpoints. It serves its own namespace only, and ignores
// what plain clients write to another.
func (p *people) openDoor(ctx context.Context) error {
	var err error
	if p.door, err = freeAddress(ctx); err != nil {
		return err
	}
	return p.startOperator(ctx, "--plain-http", "--bind-address="+p.door, "--shutdown-delay=0s",
		"--namespaces="+ownNamespace, fmt.Sprintf("--password-checks=%d", p.checks))
}

// logIn compares logins with bare checks of the same password in this process, as many at once.
// Each has all cores in its turn. In the operator's turn, the API server, etcd and the clients
// share them.
func (p *people) logIn(ctx context.Context, b *bench, r chapter, h hashing) error {
	var requests [][]byte
	for i := range usersEach {
		form := url.Values{"grant_type": {"password"}, "username": {h.user(i)}, "password": {theirWord}}
		requests = append(requests, request("POST", "/oauth2/token", "", "application/x-www-form-urlencoded", form.Encode()))
	}
	operator := overHTTP("login, "+h.says, p.door, requests)
	bare := p.bare(h)
	// The operator writes its count of each user's logins up to five seconds later. These writes
	// are no part of hashing, so they must end before the turn of the bare hash.
	bare.before = func(ctx context.Context) error {
		_, err := p.restFor(ctx, b.loginTurn+time.Second, restPatience)
		return err
	}
	for _, c := range []contender{operator, bare} { // warm-up
		if _, err := c.fire(ctx, b.loginTurn/4); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	used := p.usage()
	v, err := b.competeFor(ctx, b.loginTurn, operator, bare)
	if err != nil {
		return err
	}
	p.say("logins and bare hashes: %s", p.usage().since(used))
	r.beside("login, "+h.says+", beside the bare hash", v[0].rate, "/s", v[1].rate, h.goal)
	return nil
}

// bare returns a target that checks the password and does nothing else.
func (p *people) bare(h hashing) contender {
	checker := password.NewChecker(password.Options{Slots: p.checks, Waiting: askers, PerSource: askers})
	secret := password.Take(theirWord)
	once := func(ctx context.Context, asker int) error {
		same, err := checker.Check(ctx, password.Check{Name: h.user(asker), Stored: p.stored[h.users], Presented: secret})
		if err == nil && !same {
			err = fmt.Errorf("the password of %s is another", h.users)
		}
		return err
	}
	return contender{name: "the hash alone, " + h.says, ask: func(ctx context.Context, asker int) (func() error, func(), error) {
		return func() error { return once(ctx, asker) }, func() {}, nil
	}}
}
