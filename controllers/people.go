package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/verify"
)

// Keys of a Secret that holds a password.
const (
	KeyPasswordHash = "passwordHash" // argon2id in PHC form, or bcrypt
	KeyPassword     = "password"     // in plain text
)

// ReadPassword reads the password in a Secret, and a fingerprint that changes with it. The
// fingerprint is empty if there is no password to check against.
func ReadPassword(s *corev1.Secret) (stored password.Stored, fingerprint string, form v1alpha1.PasswordForm, problem error) {
	if s == nil {
		return password.Stored{}, "", v1alpha1.PasswordMissing, nil
	}
	if hash := s.Data[KeyPasswordHash]; len(hash) > 0 {
		stored, err := password.ReadHash(string(hash))
		if err != nil {
			return password.Stored{}, "", v1alpha1.PasswordUnreadable, err
		}
		return stored, stored.Fingerprint(), v1alpha1.PasswordHashed, nil
	}
	if plain := s.Data[KeyPassword]; len(plain) > 0 {
		stored, err := password.ReadPlain(string(plain))
		if err != nil {
			return password.Stored{}, "", v1alpha1.PasswordUnreadable, err
		}
		// A fingerprint of a plain password could be guessed at, so none is made: each change of
		// the Secret counts.
		sum := sha256.Sum256([]byte("Secret " + string(s.UID) + " " + s.ResourceVersion))
		return stored, hex.EncodeToString(sum[:16]), v1alpha1.PasswordPlain, nil
	}
	return password.Stored{}, "", v1alpha1.PasswordMissing, nil
}

// People keeps the verifier and the directory up to date with each user and each password.
type People struct {
	Index     *verify.Index
	Directory *login.Directory

	mu      sync.Mutex
	users   map[string]*v1alpha1.User // by name
	secrets map[string]*corev1.Secret // by name, those that can hold a password
	using   map[string]map[string]bool
}

// Users returns the handler of a watch on Users.
func (p *People) Users() toolscache.ResourceEventHandler {
	set := func(obj any) {
		if u, ok := obj.(*v1alpha1.User); ok {
			p.setUser(u)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if u, ok := last(obj).(*v1alpha1.User); ok {
				p.removeUser(u)
			}
		},
	}
}

// Passwords returns the handler of a watch on the Secrets of the operator's own namespace.
func (p *People) Passwords() toolscache.ResourceEventHandler {
	set := func(obj any) {
		if s, ok := obj.(*corev1.Secret); ok {
			p.setSecret(s.Name, s)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if s, ok := last(obj).(*corev1.Secret); ok {
				p.setSecret(s.Name, nil)
			}
		},
	}
}

func (p *People) setUser(u *v1alpha1.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == nil {
		p.users, p.using = map[string]*v1alpha1.User{}, map[string]map[string]bool{}
	}
	was := p.users[u.Name]
	p.users[u.Name] = u
	if was != nil && sameToPeople(was, u) {
		return
	}
	p.unuse(was)
	if ref := u.Spec.PasswordSecretRef; ref != nil {
		name := string(ref.Name)
		if p.using[name] == nil {
			p.using[name] = map[string]bool{}
		}
		p.using[name][u.Name] = true
	}
	p.tell(u)
	p.tellRivals(u, was)
}

// tellRivals updates the other users that ask for the username that a user has or had: the holder
// may have changed.
func (p *People) tellRivals(versions ...*v1alpha1.User) {
	for _, u := range versions {
		if u == nil {
			continue
		}
		for _, rival := range p.Directory.UsersOf(usernameOf(u)) {
			if other := p.users[rival]; other != nil && rival != u.Name {
				p.tell(other)
			}
		}
	}
}

// sameToPeople reports whether two versions of a user agree in all that tell reads. The status
// changes after each login.
func sameToPeople(a, b *v1alpha1.User) bool {
	return a.UID == b.UID && a.CreationTimestamp.Equal(&b.CreationTimestamp) && a.DeletionTimestamp.Equal(b.DeletionTimestamp) &&
		holdsUsername(a) == holdsUsername(b) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

func (p *People) removeUser(u *v1alpha1.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unuse(p.users[u.Name])
	delete(p.users, u.Name)
	p.Index.RemoveUser(u.Name)
	p.Index.Stop(userOwner(u))
	p.Directory.RemoveUser(u.Name)
	p.tellRivals(u)
}

func (p *People) unuse(u *v1alpha1.User) {
	if u == nil || u.Spec.PasswordSecretRef == nil {
		return
	}
	name := string(u.Spec.PasswordSecretRef.Name)
	delete(p.using[name], u.Name)
	if len(p.using[name]) == 0 {
		delete(p.using, name)
	}
}

func (p *People) setSecret(name string, s *corev1.Secret) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.secrets == nil {
		p.secrets = map[string]*corev1.Secret{}
	}
	if s == nil || len(s.Data) == 0 {
		delete(p.secrets, name)
	} else {
		p.secrets[name] = s
	}
	for user := range p.using[name] {
		p.tell(p.users[user])
	}
}

// tell sets the present state of a user in the index and the directory.
func (p *People) tell(u *v1alpha1.User) {
	suspended := u.Spec.State == v1alpha1.StateSuspended || !u.DeletionTimestamp.IsZero()
	var secret *corev1.Secret
	if ref := u.Spec.PasswordSecretRef; ref != nil {
		secret = p.secrets[string(ref.Name)]
	}
	stored, fingerprint, _, _ := ReadPassword(secret) //nolint:errcheck // the status reports what is wrong
	seen := verify.User{
		Name: u.Name, Username: usernameOf(u), UID: string(u.UID), Since: u.CreationTimestamp.Unix(), Suspended: suspended,
		Credential: fingerprint, Accounts: map[string][]string{}, Namespaces: u.Spec.Namespaces.Names,
	}
	may := login.User{
		Name: u.Name, UID: string(u.UID), Username: usernameOf(u), Holds: holdsUsername(u), Since: u.CreationTimestamp.Time, Suspended: suspended,
		Password: stored, Credential: fingerprint, Accounts: loginAccounts(u),
	}
	for _, a := range u.Spec.Accounts {
		seen.Accounts[a.Client] = sorted(a.Roles)
	}
	p.Directory.SetUser(may)
	if now, _ := p.Directory.User(u.Name); now.Username == "" {
		seen.Username = "" // another user holds it
	}
	p.Index.SetUser(seen)
	if suspended {
		p.Index.Stop(userOwner(u))
	} else {
		p.Index.Resume(userOwner(u))
	}
}

// loginAccounts returns the accounts of a user in the form that logins use.
func loginAccounts(u *v1alpha1.User) []login.Account {
	var all []login.Account
	for _, a := range u.Spec.Accounts {
		all = append(all, login.Account{Client: a.Client, Default: a.Default})
	}
	return all
}

// userOwner returns the owner by which the records of a user's logins are found.
func userOwner(u *v1alpha1.User) record.Owner {
	return record.Owner{Kind: login.OwnerKind, Name: u.Name, UID: string(u.UID)}
}

func usernameOf(u *v1alpha1.User) string {
	if u.Spec.Username != "" {
		return login.NormalizeUsername(u.Spec.Username)
	}
	return u.Name
}

// Defaults of spec.logins.
const (
	defaultLoginLifetime = time.Hour
	defaultRemembered    = 14 * 24 * time.Hour
	defaultRefresh       = 30 * 24 * time.Hour
	defaultIdle          = 30 * time.Minute
	defaultMaxSessions   = 20
	defaultMaxOpen       = 24 * time.Hour // unless open tokens without an end are allowed
	defaultMaxSession    = 720 * time.Hour
)

// loginsOf returns what a Client sets for logins.
func loginsOf(c *v1alpha1.Client) login.Client {
	l := c.Spec.Logins
	out := login.Client{
		Name: c.Name, Since: c.CreationTimestamp.Time, Holds: heldAccountID(c) != nil,
		Suspended:   c.Spec.State == v1alpha1.StateSuspended || !c.DeletionTimestamp.IsZero(),
		Lifetime:    duration(l.Lifetime, defaultLoginLifetime),
		Remembered:  duration(l.RememberMeLifetime, defaultRemembered),
		Refresh:     duration(l.RefreshLifetime, defaultRefresh),
		Idle:        duration(l.IdleTimeout, defaultIdle),
		MaxSessions: defaultMaxSessions,
		MaxSession:  duration(l.MaxSessionLifetime, defaultMaxSession),
		MaxOpen:     duration(l.MaxOpenLifetime, defaultMaxOpen),
		Open:        map[v1alpha1.OpenTokens]login.OpenTokens{v1alpha1.OpenTokensAllow: login.OpenAllowed, v1alpha1.OpenTokensForbid: login.OpenForbidden}[l.OpenTokens],
	}
	if l.MaxOpenLifetime == "" && out.Open == login.OpenAllowed {
		out.MaxOpen = 0
	}
	if l.MaxSessionsPerUser != nil {
		out.MaxSessions = int(*l.MaxSessionsPerUser)
	}
	if c.Spec.AccountID != nil {
		out.AccountID = *c.Spec.AccountID
	}
	return out
}

// TellReplay records a warning event on a User: a refresh token was presented after it had been
// used up, so that another party has it, and its session was ended.
func TellReplay(to events.EventRecorder, u login.User) {
	obj := &v1alpha1.User{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "User"},
		ObjectMeta: metav1.ObjectMeta{Name: u.Name, UID: types.UID(u.UID)},
	}
	to.Eventf(obj, nil, corev1.EventTypeWarning, v1alpha1.EventRefreshTokenReplayed, "Refresh",
		"A used refresh token was presented again: it may have been stolen. Its session was ended; no other was")
}
