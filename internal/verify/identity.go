package verify

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/token"
)

// Facts are what a door knows of a request beside the credential.
type Facts struct {
	// Source is the address that the credential was presented from. The zero Addr is an unknown one, which is within no
	// range.
	Source netip.Addr
	// Caller is the address that look-ups in the store are limited by. The zero Addr: it is the Source.
	Caller netip.Addr
	// Permissions, Roles and Clients are required, all of them. A credential has one client: of two, it lacks one. That
	// a longer list never lets more through matters, since gateways append to it what strangers write into addresses.
	Permissions, Roles, Clients []string
	// Session is the session id that the request names, without which a session token is refused.
	Session string
}

func (f Facts) caller() netip.Addr {
	if f.Caller.IsValid() {
		return f.Caller
	}
	return f.Source
}

// Identity is for whom a good credential speaks, and what it may do. It holds neither the credential nor its digest.
// What it points at is shared and never changes.
type Identity struct {
	*Held
	*Owner
	// ID names the credential, as its record does.
	ID ID
	// Kind of the credential.
	Kind token.Kind
	// IssuedAt has the precision of a second.
	IssuedAt time.Time
	// ExpiresAt is the first instant at which the credential is refused; zero if it does not expire.
	ExpiresAt time.Time
}

// Owner is the object that a credential belongs to.
type Owner struct {
	// Subject is the namespace and the name of an ApplicationToken, joined by a slash; or the name of a User.
	Subject string
	UID     string
}

// Held is what a credential may do: what it was given, within what its client holds now. One that speaks for a user has
// what the user has at that client now.
type Held struct {
	Client *Client
	// User is for whom the credential speaks beside the client; nil: nobody.
	User *User
	// Roles are bare names, sorted.
	Roles []string
	// Permissions are patterns: those of the roles and single ones, sorted.
	Permissions []string
	// Ranges are the addresses that the credential itself is bound to; empty: to none. Those of the client come on top.
	Ranges []netip.Prefix
	// RoleList and PermissionList are the same, joined by commas.
	RoleList, PermissionList string

	// Of the user, if there is one: whether any credential is accepted, and the password that a login must have been opened with.
	// They are here so that nobody has to go to the user for them, of whom there may be many thousands.
	stopped    bool
	credential fingerprint
	since      int64 // a record that was issued before then is not that of the user; 0: it is

	ungranted bool // the namespace of the owner is granted nothing
}

// ID names a credential without helping anybody to present it.
type ID [16]byte

// String is the name of the record that vouches for the credential.
func (id ID) String() string {
	var name [len("at-") + 2*len(id)]byte
	hex.Encode(name[copy(name[:], "at-"):], id[:])
	return string(name[:])
}

// Client is a client as it is now.
type Client struct {
	Name      string
	AccountID int64 // 0: none
	Suspended bool
	Ceiling   grant.Ceiling
	Ranges    []netip.Prefix // empty: accepted from everywhere
	// MaxSession is how long after the password a login is refused; 0: never.
	MaxSession time.Duration
	// Draw returns the roles that a namespace of these labels may draw, and whether it may draw any. Where the labels are not
	// known, they are nil, and only grants that name the namespace count. Nil: no namespace may draw any.
	Draw func(namespace string, labels map[string]string) (roles []string, granted bool)
}

// hold cuts what was given down to what the client holds.
func hold(c *Client, u *User, roles, permissions []string, ranges []netip.Prefix) *Held {
	if u != nil {
		roles, permissions = u.Accounts[c.Name], nil
	}
	cut := c.Ceiling.Cut(roles, permissions)
	h := &Held{
		Client: c, User: u, Roles: cut.Roles, Permissions: cut.Effective, Ranges: ranges,
		RoleList: strings.Join(cut.Roles, ","), PermissionList: strings.Join(cut.Effective, ","),
	}
	if u != nil {
		h.stopped, h.credential = !u.welcome(c.Name), fingerprintOf(u.Credential)
	}
	return h
}

// Ranges reads addresses in CIDR notation. One that cannot be read becomes one that holds no address, so that a list
// never widens by an error in it.
func Ranges(cidrs []string) []netip.Prefix {
	if len(cidrs) == 0 {
		return nil
	}
	ranges := make([]netip.Prefix, len(cidrs))
	for i, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			continue
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		ranges[i] = p
	}
	return ranges
}

// within says whether an address is in one of the ranges, or there are none.
func within(ranges []netip.Prefix, a netip.Addr) bool {
	if len(ranges) == 0 {
		return true
	}
	for _, p := range ranges {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
