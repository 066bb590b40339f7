package directory

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/tokenspec"
	"github.com/apptoken/operator/internal/verify"
)

// UserSync keeps the verifier and the directory up to date with each user and each password.
type UserSync struct {
	Index     *verify.Index
	Directory *login.Directory

	mu            sync.Mutex
	users         map[string]*v1alpha1.User  // by name
	secrets       map[string]*corev1.Secret  // by name, those that can hold a password
	usersOfSecret map[string]map[string]bool // by the name of the Secret, the names of the users
}

// UserHandler returns the handler of a watch on Users.
func (p *UserSync) UserHandler() toolscache.ResourceEventHandler {
	set := func(obj any) {
		if u, ok := obj.(*v1alpha1.User); ok {
			p.setUser(u)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if u, ok := lastKnownState(obj).(*v1alpha1.User); ok {
				p.removeUser(u)
			}
		},
	}
}

// PasswordHandler returns the handler of a watch on the Secrets of the operator's own namespace.
func (p *UserSync) PasswordHandler() toolscache.ResourceEventHandler {
	set := func(obj any) {
		if s, ok := obj.(*corev1.Secret); ok {
			p.setSecret(s.Name, s)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if s, ok := lastKnownState(obj).(*corev1.Secret); ok {
				p.setSecret(s.Name, nil)
			}
		},
	}
}

func (p *UserSync) setUser(u *v1alpha1.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == nil {
		p.users, p.usersOfSecret = map[string]*v1alpha1.User{}, map[string]map[string]bool{}
	}
	was := p.users[u.Name]
	p.users[u.Name] = u
	if was != nil && isUnchanged(was, u) {
		return
	}
	p.removeSecretUse(was)
	if ref := u.Spec.PasswordSecretRef; ref != nil {
		name := string(ref.Name)
		if p.usersOfSecret[name] == nil {
			p.usersOfSecret[name] = map[string]bool{}
		}
		p.usersOfSecret[name][u.Name] = true
	}
	p.publishUser(u)
	p.publishRivals(u, was)
}

// publishRivals publishes the other users that ask for the username that a user has or had: the
// holder may have changed.
func (p *UserSync) publishRivals(versions ...*v1alpha1.User) {
	for _, u := range versions {
		if u == nil {
			continue
		}
		for _, rival := range p.Directory.UsersByUsername(UsernameOf(u)) {
			if other := p.users[rival]; other != nil && rival != u.Name {
				p.publishUser(other)
			}
		}
	}
}

// isUnchanged reports whether two versions of a user agree in all that publishUser reads. The
// status changes after each login.
func isUnchanged(a, b *v1alpha1.User) bool {
	return a.UID == b.UID && a.CreationTimestamp.Equal(&b.CreationTimestamp) && a.DeletionTimestamp.Equal(b.DeletionTimestamp) &&
		holdsUsername(a) == holdsUsername(b) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

func (p *UserSync) removeUser(u *v1alpha1.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeSecretUse(p.users[u.Name])
	delete(p.users, u.Name)
	p.Index.RemoveUser(u.Name)
	p.Index.Disable(UserOwner(u))
	p.Directory.RemoveUser(u.Name)
	p.publishRivals(u)
}

// removeSecretUse removes a user from the users of the Secret that it names.
func (p *UserSync) removeSecretUse(u *v1alpha1.User) {
	if u == nil || u.Spec.PasswordSecretRef == nil {
		return
	}
	name := string(u.Spec.PasswordSecretRef.Name)
	delete(p.usersOfSecret[name], u.Name)
	if len(p.usersOfSecret[name]) == 0 {
		delete(p.usersOfSecret, name)
	}
}

func (p *UserSync) setSecret(name string, s *corev1.Secret) {
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
	for user := range p.usersOfSecret[name] {
		p.publishUser(p.users[user])
	}
}

// publishUser sets the present state of a user in the verifier and the directory.
func (p *UserSync) publishUser(u *v1alpha1.User) {
	suspended := u.Spec.State == v1alpha1.StateSuspended || !u.DeletionTimestamp.IsZero()
	var secret *corev1.Secret
	if ref := u.Spec.PasswordSecretRef; ref != nil {
		secret = p.secrets[string(ref.Name)]
	}
	stored, fingerprint, _, _ := ReadPassword(secret) //nolint:errcheck // the status reports what is wrong
	verified := verify.User{
		Name: u.Name, Username: UsernameOf(u), UID: string(u.UID), CreatedAt: u.CreationTimestamp.Unix(), Suspended: suspended,
		Credential: fingerprint, Accounts: map[string][]string{}, Namespaces: u.Spec.Namespaces.Names,
	}
	account := login.User{
		Name: u.Name, UID: string(u.UID), Username: UsernameOf(u), HoldsUsername: holdsUsername(u), CreatedAt: u.CreationTimestamp.Time, Suspended: suspended,
		Password: stored, Credential: fingerprint, Accounts: tokenspec.LoginAccounts(u),
		Limits: LoginLimitsOf(u),
	}
	for _, a := range u.Spec.Accounts {
		verified.Accounts[a.Client] = tokenspec.SortedStrings(a.Roles)
	}
	p.Directory.SetUser(account)
	if now, _ := p.Directory.User(u.Name); now.Username == "" {
		verified.Username = "" // another user holds it
	}
	p.Index.SetUser(verified)
	if suspended {
		p.Index.Disable(UserOwner(u))
	} else {
		p.Index.Enable(UserOwner(u))
	}
}

// PublishReplayEvent records a warning event on a User: a refresh token was presented after it had
// been used up, so that another party has it, and its session was ended.
func PublishReplayEvent(to events.EventRecorder, u login.User) {
	obj := &v1alpha1.User{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "User"},
		ObjectMeta: metav1.ObjectMeta{Name: u.Name, UID: types.UID(u.UID)},
	}
	to.Eventf(obj, nil, corev1.EventTypeWarning, v1alpha1.EventRefreshTokenReplayed, "Refresh",
		"A used refresh token was presented again: it may have been stolen. Its session was ended; no other was")
}
