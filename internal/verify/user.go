package verify

import (
	"crypto/sha256"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
	"unique"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// User is somebody who logs in, as they are now.
type User struct {
	Name      string
	Username  string
	UID       string
	Since     int64 // its creation, in Unix seconds
	Suspended bool
	// Credential is a fingerprint of the password. A login that was opened with another one is refused. Empty: the user
	// cannot log in.
	Credential string
	// Accounts are the roles of the user by client.
	Accounts map[string][]string
	// Namespaces may have ApplicationTokens that speak for the user.
	Namespaces []string
}

// person is a user by name, whether or not there is one at the time.
type person struct {
	name  string
	now   atomic.Pointer[User]
	users int
}

// login is what only the credentials of somebody who logged in have.
type login struct {
	credential    fingerprint
	bound         bool          // to a session
	idle          uint32        // seconds without use after which it is refused; 0: never
	authenticated uint32        // when the password was presented, in Unix seconds; 0: the client's MaxSession does not bound it
	session       token.Digest  // zero: it has none, so that one that is bound is never accepted
	presented     atomic.Uint64 // a short hash of the session id that was accepted; 0: none was yet
}

func newLogin(r record.Record) *login {
	if r.Kind == token.Application || r.Kind == token.UserApplication {
		return nil
	}
	l := &login{credential: fingerprintOf(r.Credential), session: r.Session, bound: r.Kind == token.Session || r.Session != token.Digest{}}
	if r.IdleTimeout != 0 {
		l.idle = seconds(int64(r.IdleTimeout / time.Second)) // a part of a second is not never
	}
	if r.Kind != token.Open {
		l.authenticated = seconds(r.Authenticated().Unix())
	}
	return l
}

// endsAt returns the first instant, in Unix seconds, at which a client refuses the login, whatever its record says: its
// policy may have been lowered since.
func (l *login) endsAt(c *Client) int64 {
	if l.authenticated == 0 || c.MaxSession <= 0 {
		return never
	}
	return int64(l.authenticated) + int64(c.MaxSession/time.Second)
}

// fingerprint of a password, which is compared without a way to its text; the zero fingerprint is that of none.
type fingerprint = unique.Handle[string]

func fingerprintOf(credential string) fingerprint {
	if credential == "" {
		return fingerprint{}
	}
	return unique.Make(credential)
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

// welcome says whether the user lets a credential of theirs be used at a client, whichever it is.
func (u *User) welcome(client string) bool {
	_, there := u.Accounts[client]
	return there && !u.Suspended
}

// fits says whether a login is presented as it must be: with its session, and not after it lay idle.
func (l *login) fits(now time.Time, e *entry, f Facts) Verdict {
	if l.bound && !l.opens(f.Session) {
		return SessionRefused
	}
	if l.idle == 0 {
		return Good
	}
	u := &e.home.Value.use
	if last := int64(max(u.at.Load(), u.storedAt.Load(), e.issuedAt)); now.Unix()-last >= int64(l.idle) {
		return Idle
	}
	return Good
}

// short is the key of short hashes of session ids. Nobody outside of this process has it, so that whoever does not have the id
// has one chance in 2^64 to present another of the same hash.
var short = maphash.MakeSeed()

// opens says whether an id is that of the session. The second time it does so without SHA-256, which takes as long as a third of
// all that there is to be verified.
func (l *login) opens(id string) bool {
	if len(id) != SessionLength || l.session == (token.Digest{}) {
		return false
	}
	hash := maphash.String(short, id)
	if hash != 0 && hash == l.presented.Load() {
		return true
	}
	if l.session != SessionDigest(id) {
		return false
	}
	l.presented.Store(hash)
	return true
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
	if u == nil || !u.welcome(client) {
		return Identity{}, UserStopped
	}
	if !within(c.Ranges, from) {
		return Identity{}, SourceRefused
	}
	return Identity{Held: hold(c, u, nil, nil, nil), Owner: &Owner{Subject: u.Name, UID: u.UID}}, Good
}
