package verify

import (
	"crypto/sha256"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// User is somebody who logs in, as they are now.
type User struct {
	Name      string
	Username  string
	UID       string
	Suspended bool
	// Credential is a fingerprint of the password. A login that was opened with another one is refused. Empty: the user
	// cannot log in.
	Credential string
	// Accounts are the roles of the user by client.
	Accounts map[string][]string
}

// person is a user by name, whether or not there is one at the time.
type person struct {
	name  string
	now   atomic.Pointer[User]
	users int
}

// login is what only the credentials of somebody who logged in have.
type login struct {
	credential string
	bound      bool         // to a session
	session    token.Digest // zero: it has none, so that one that is bound is never accepted
	idle       int64        // seconds without use after which it is refused; 0: never
}

func newLogin(r record.Record) *login {
	if r.Kind == token.Application || r.Kind == token.UserApplication {
		return nil
	}
	l := &login{credential: r.Credential, session: r.Session, bound: r.Kind == token.Session || r.Session != token.Digest{}}
	if r.IdleTimeout != 0 {
		l.idle = max(1, int64(r.IdleTimeout/time.Second)) // a part of a second is not never
	}
	return l
}

// SessionLength is the number of bytes of a session id: a UUID as RFC 9562 writes it.
const SessionLength = 36

// SessionDigest is what a record keeps of a session id, which has one spelling: the one in which it was issued. Ids of
// another length have the zero Digest, which is that of none.
func SessionDigest(id string) token.Digest {
	var text [SessionLength]byte
	if len(id) != len(text) {
		return token.Digest{}
	}
	copy(text[:], id)
	return sha256.Sum256(text[:])
}

// standing says whether the user lets a credential of theirs be used at a client.
func (u *User) standing(client string, l *login) Verdict {
	if u == nil || u.Suspended {
		return UserStopped
	}
	if _, there := u.Accounts[client]; !there {
		return UserStopped
	}
	if l != nil && (l.credential == "" || l.credential != u.Credential) {
		return PasswordChanged
	}
	return Good
}

// fits says whether a login is presented as it must be: with its session, and not after it lay idle.
func (l *login) fits(now time.Time, e *entry, f Facts) Verdict {
	if l.bound && (l.session == token.Digest{} || l.session != SessionDigest(f.Session)) {
		return SessionRefused
	}
	if l.idle == 0 {
		return Good
	}
	u := &e.home.Value.use
	if last := int64(max(u.at.Load(), u.storedAt.Load(), e.issuedAt)); now.Unix()-last >= l.idle {
		return Idle
	}
	return Good
}

// SetUser takes in a user as they are now.
func (x *Index) SetUser(u User) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.person(u.Name).now.Store(&u)
}

// RemoveUser forgets a user: from now on every credential that speaks for them is refused.
func (x *Index) RemoveUser(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.people[name]; p != nil {
		p.now.Store(nil)
		x.dismiss(p)
	}
}

// person of a name; nil if it is empty.
func (x *Index) person(name string) *person {
	if name == "" {
		return nil
	}
	p := x.people[name]
	if p == nil {
		p = &person{name: name}
		if x.people == nil {
			x.people = map[string]*person{}
		}
		x.people[name] = p
	}
	return p
}

func (x *Index) dismiss(p *person) {
	if p.users == 0 && p.now.Load() == nil {
		delete(x.people, p.name)
	}
}

// As is the Identity of a user at a client who came without a credential of ours: by their name and password, just now, from
// that address.
func (v *Verifier) As(user, client string, from netip.Addr) (Identity, Verdict) {
	if !v.Open() {
		return Identity{}, Stale
	}
	return v.index.as(user, client, from)
}

func (x *Index) as(user, client string, from netip.Addr) (Identity, Verdict) {
	x.mu.Lock()
	var u *User
	var c *Client
	if p := x.people[user]; p != nil {
		u = p.now.Load()
	}
	if t := x.tenants[client]; t != nil {
		c = t.now.Load()
	}
	x.mu.Unlock()
	switch {
	case c == nil:
		return Identity{}, ClientMissing
	case c.Suspended:
		return Identity{}, ClientSuspended
	}
	if v := u.standing(client, nil); v != Good {
		return Identity{}, v
	}
	if !within(c.Ranges, from) {
		return Identity{}, SourceRefused
	}
	return Identity{Held: hold(c, u, nil, nil), Owner: &Owner{Subject: u.Name, UID: u.UID}}, Good
}
