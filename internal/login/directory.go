package login

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/internal/login/password"
)

// User is a user that may log in, in its current state.
type User struct {
	Name          string // of the object
	UID           string
	Username      string // the name to log in with
	HoldsUsername bool   // the status marks the user as the holder of the username
	CreatedAt     time.Time
	Suspended     bool
	Password      password.Stored
	// Credential is a fingerprint of the password. If it is empty, there is no password to check,
	// and the user cannot log in.
	Credential string
	Accounts   []Account
	// Limits are the user's own. Where one is 0, that of the client applies.
	Limits
}

// Account is a client at which a user may log in.
type Account struct {
	Client  string
	Default bool
}

// DefaultAccount returns the account of a login that names none, and false if there is no account.
func DefaultAccount(accounts []Account) (Account, bool) {
	if i := slices.IndexFunc(accounts, func(a Account) bool { return a.Default }); i >= 0 {
		return accounts[i], true
	}
	if len(accounts) == 0 {
		return Account{}, false
	}
	return accounts[0], true
}

// OpenTokenPolicy is a client's policy for open tokens.
type OpenTokenPolicy int

// The policies for open tokens.
const (
	OpenExpiring OpenTokenPolicy = iota // only those with an end
	OpenAllowed                         // those without an end too
	OpenForbidden
)

// Client is a client at which users log in, in its current state.
type Client struct {
	Name               string
	AccountID          int64 // 0: none
	HoldsAccountID     bool  // the status marks the client as the holder of the account ID
	CreatedAt          time.Time
	Suspended          bool
	LoginLifetime      time.Duration // of a login token
	RememberedLifetime time.Duration // of a login token with Terms.Remember
	RefreshLifetime    time.Duration // of a refresh token
	IdleTimeout        time.Duration // of a session token
	Limits                           // of each user
	OpenPolicy         OpenTokenPolicy
	MaxOpenLifetime    time.Duration // of an open token; 0: no limit
	// MaxSessionLifetime bounds the time from the password to the end of all logins that come of
	// it, except open tokens; 0: no limit.
	MaxSessionLifetime time.Duration
}

// Directory holds the users that may log in, and the clients at which they may. It is safe for
// concurrent use. The zero Directory is empty and ready.
type Directory struct {
	mu               sync.RWMutex
	users            map[string]User     // by the name of the object
	namesByUsername  map[string][]string // names of users by username, in the order of CompareClaims
	decoys           []string            // names of the users with a password, sorted: decoys for unknown usernames
	clients          map[string]Client
	namesByAccountID map[int64][]string // names of clients by account ID, in the order of CompareClaims
	version          atomic.Uint64      // incremented at the end of each change
}

// SetUser stores the current state of a user.
func (d *Directory) SetUser(u User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.version.Add(1)
	d.forgetUser(u.Name)
	if d.users == nil {
		d.users, d.namesByUsername = map[string]User{}, map[string][]string{}
	}
	d.users[u.Name] = u
	d.namesByUsername[u.Username] = insertClaimant(d.namesByUsername[u.Username], u.Name, d.userClaim)
	d.setDecoy(u.Name, u.Credential != "")
}

// RemoveUser forgets a user.
func (d *Directory) RemoveUser(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.version.Add(1)
	d.forgetUser(name)
	d.setDecoy(name, false)
}

// forgetUser removes a user, but not from the decoys.
func (d *Directory) forgetUser(name string) {
	u, ok := d.users[name]
	if !ok {
		return
	}
	delete(d.users, name)
	d.namesByUsername[u.Username] = withoutName(d.namesByUsername[u.Username], name)
	if len(d.namesByUsername[u.Username]) == 0 {
		delete(d.namesByUsername, u.Username)
	}
}

// setDecoy adds a user to the decoys, or removes it. The list may hold all users, so it is changed
// in place, and only if something changes. No caller keeps it after it has released the lock.
func (d *Directory) setDecoy(name string, will bool) {
	switch i, does := slices.BinarySearch(d.decoys, name); {
	case will && !does:
		d.decoys = slices.Insert(d.decoys, i, name)
	case does && !will:
		d.decoys = slices.Delete(d.decoys, i, i+1)
	}
}

// SetClient stores the current state of a client.
func (d *Directory) SetClient(c Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.version.Add(1)
	d.removeClient(c.Name)
	if d.clients == nil {
		d.clients, d.namesByAccountID = map[string]Client{}, map[int64][]string{}
	}
	d.clients[c.Name] = c
	if c.AccountID != 0 {
		d.namesByAccountID[c.AccountID] = insertClaimant(d.namesByAccountID[c.AccountID], c.Name, d.clientClaim)
	}
}

// RemoveClient forgets a client.
func (d *Directory) RemoveClient(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.version.Add(1)
	d.removeClient(name)
}

func (d *Directory) removeClient(name string) {
	c, ok := d.clients[name]
	if !ok {
		return
	}
	delete(d.clients, name)
	d.namesByAccountID[c.AccountID] = withoutName(d.namesByAccountID[c.AccountID], name)
	if len(d.namesByAccountID[c.AccountID]) == 0 {
		delete(d.namesByAccountID, c.AccountID)
	}
}

func (d *Directory) userClaim(name string) Claim {
	return Claim{Name: name, CreatedAt: d.users[name].CreatedAt, IsHeld: d.users[name].HoldsUsername}
}

func (d *Directory) clientClaim(name string) Claim {
	return Claim{Name: name, CreatedAt: d.clients[name].CreatedAt, IsHeld: d.clients[name].HoldsAccountID}
}

// insertClaimant adds a name to the names that claim the same value.
func insertClaimant(names []string, name string, claim func(string) Claim) []string {
	i, _ := slices.BinarySearchFunc(names, name, func(a, b string) int { return CompareClaims(claim(a), claim(b)) })
	return slices.Insert(slices.Clone(names), i, name)
}

func withoutName(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// ByUsername returns the user that logs in with a name: of several, the one that holds it by
// status.
func (d *Directory) ByUsername(username string) (User, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := d.namesByUsername[username]
	if len(names) == 0 {
		return User{}, false
	}
	u := d.users[names[0]]
	if !holdsClaim(names, u.Name, u.HoldsUsername) {
		return User{}, false
	}
	return u, true
}

// User returns a user by the name of the object. If the user does not hold its username, the result
// has none.
func (d *Directory) User(name string) (User, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	u, ok := d.users[name]
	if !holdsClaim(d.namesByUsername[u.Username], name, u.HoldsUsername) {
		u.Username = ""
	}
	return u, ok
}

// UsersByUsername returns the names of the users that claim a username.
func (d *Directory) UsersByUsername(username string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.namesByUsername[username]
}

// Client returns a client by its name. If the client does not hold its account ID, the result has
// none.
func (d *Directory) Client(name string) (Client, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.clients[name]
	if !holdsClaim(d.namesByAccountID[c.AccountID], name, c.HoldsAccountID) {
		c.AccountID = 0
	}
	return c, ok
}

// ByAccountID returns the client of an account ID: of several, the one that holds it by status.
func (d *Directory) ByAccountID(id int64) (Client, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := d.namesByAccountID[id]
	if len(names) == 0 {
		return Client{}, false
	}
	c := d.clients[names[0]]
	if !holdsClaim(names, c.Name, c.HoldsAccountID) {
		return Client{}, false
	}
	return c, true
}

// ClientsByAccountID returns the names of the clients that claim an account ID.
func (d *Directory) ClientsByAccountID(id int64) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.namesByAccountID[id]
}

// decoyFor returns the decoy to check in place of the password of an unknown user. Unknown names
// then take as long as known names. A name always has the same decoy, on every replica.
func (d *Directory) decoyFor(username string) password.Stored {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.decoys) == 0 {
		return password.Stored{}
	}
	name := sha256.Sum256([]byte(username))
	return d.users[d.decoys[binary.BigEndian.Uint64(name[:])%uint64(len(d.decoys))]].Password
}
