package verify

import (
	"crypto/sha256"
	"hash/maphash"
	"sync/atomic"
	"time"
	"unique"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// User is a user that logs in, in its current state.
type User struct {
	Name      string
	Username  string
	UID       string
	CreatedAt int64 // creation, in Unix seconds
	Suspended bool
	// Credential is a fingerprint of the password. A login that was opened with another password is
	// rejected. If it is empty, the user cannot log in.
	Credential string
	// Accounts holds the roles of the user by client.
	Accounts map[string][]string
	// Namespaces lists the namespaces whose ApplicationTokens may speak for the user.
	Namespaces []string
}

// userEntry is a user by name, whether or not it exists at the time.
type userEntry struct {
	name    string
	current atomic.Pointer[User]
	refs    int
}

// loginState holds the state that only the credentials of logins have.
type loginState struct {
	credential    fingerprint
	needsSession  bool          // it is rejected without its session ID
	idleSeconds   uint32        // it is rejected if unused for this long; 0: never
	authenticated uint32        // when the password was presented, in Unix seconds; 0: the client's MaxSessionLifetime does not bound it
	session       token.Digest  // zero: none, so a credential that needs one is never accepted
	acceptedHash  atomic.Uint64 // a short hash of the accepted session ID; 0: none yet
}

func newLoginState(r record.Record) *loginState {
	if !isLogin(r.Kind) {
		return nil
	}
	l := &loginState{credential: fingerprintOf(r.Credential), session: r.Session, needsSession: r.Kind == token.Session || r.Session != token.Digest{}}
	if r.IdleTimeout != 0 {
		l.idleSeconds = clampSeconds(int64(r.IdleTimeout / time.Second)) // a fraction of a second is not never
	}
	if r.Kind != token.Open {
		l.authenticated = clampSeconds(r.Authenticated().Unix())
	}
	return l
}

// isLogin reports whether a credential of this kind comes from a login.
func isLogin(k token.Kind) bool { return k == token.Login || k == token.Session || k == token.Open }

// endsAt returns the first instant, in Unix seconds, at which a client rejects the login, whatever
// its record says. The client's policy may have been lowered since.
func (l *loginState) endsAt(c *Client) int64 {
	if l.authenticated == 0 || c.MaxSessionLifetime <= 0 {
		return never
	}
	return int64(l.authenticated) + int64(c.MaxSessionLifetime/time.Second)
}

// fingerprint identifies a password. It can be compared without access to its text; the zero
// fingerprint means no password.
type fingerprint = unique.Handle[string]

func fingerprintOf(credential string) fingerprint {
	if credential == "" {
		return fingerprint{}
	}
	return unique.Make(credential)
}

// SessionLength is the number of bytes of a session ID: a UUID as RFC 9562 writes it.
const SessionLength = 36

// SessionDigest returns the digest of a session ID that a record stores. A session ID has one
// spelling, the one in which it was issued. An ID of another length gets the zero Digest, which
// means no session.
func SessionDigest(id string) token.Digest {
	var text [SessionLength]byte
	if len(id) != len(text) {
		return token.Digest{}
	}
	copy(text[:], id)
	return sha256.Sum256(text[:])
}

// isAllowedAt reports whether the user can use its credentials at a client.
func (u *User) isAllowedAt(client string) bool {
	_, there := u.Accounts[client]
	return there && !u.Suspended
}

// check checks that a login is presented with its session, and before its idle timeout.
func (l *loginState) check(now time.Time, e *entry, f Facts) Verdict {
	if l.needsSession && !l.isSession(f.Session) {
		return SessionRefused
	}
	if l.idleSeconds == 0 {
		return Valid
	}
	u := &e.useItem.Value.lastUseState
	if last := int64(max(u.at.Load(), u.storedAt.Load(), e.issuedAt)); now.Unix()-last >= int64(l.idleSeconds) {
		return Idle
	}
	return Valid
}

// sessionHashSeed is the seed for the short hashes of session IDs. It never leaves this process. A
// client without the ID has one chance in 2^64 to present another ID with the same hash.
var sessionHashSeed = maphash.MakeSeed()

// isSession reports whether an ID is that of the session. From the second time on it needs no
// SHA-256, which takes as long as a third of a whole verification.
func (l *loginState) isSession(id string) bool {
	if len(id) != SessionLength || l.session == (token.Digest{}) {
		return false
	}
	hash := maphash.String(sessionHashSeed, id)
	if hash != 0 && hash == l.acceptedHash.Load() {
		return true
	}
	if l.session != SessionDigest(id) {
		return false
	}
	l.acceptedHash.Store(hash)
	return true
}

// SetUser stores the current state of a user.
func (x *Index) SetUser(u User) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.userEntryOf(u.Name).current.Store(&u)
}

// RemoveUser forgets a user: from now on every credential that speaks for the user is rejected.
func (x *Index) RemoveUser(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if u := x.users[name]; u != nil {
		u.current.Store(nil)
		x.dropUser(u)
	}
}

// userEntryOf returns the entry of a name, or nil if the name is empty.
func (x *Index) userEntryOf(name string) *userEntry {
	if name == "" {
		return nil
	}
	u := x.users[name]
	if u == nil {
		u = &userEntry{name: name}
		if x.users == nil {
			x.users = map[string]*userEntry{}
		}
		x.users[name] = u
	}
	return u
}

func (x *Index) dropUser(u *userEntry) {
	if u.refs == 0 && u.current.Load() == nil {
		delete(x.users, u.name)
	}
}
