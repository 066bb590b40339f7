package verify

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/token"
)

// Facts are what an endpoint knows of a request beside the credential.
type Facts struct {
	// Source is the address that the credential was presented from. The zero Addr means unknown,
	// and is within no range.
	Source netip.Addr
	// Caller is the address that look-ups are limited by. If it is the zero Addr, the Source is
	// used.
	Caller netip.Addr
	// Permissions, Roles and Clients are all required. A credential has one client, so it lacks one
	// of two. A longer list never accepts more credentials. That matters, because gateways append
	// to it what unauthenticated callers write into URLs.
	Permissions, Roles, Clients []string
	// Session is the session ID that the request names. A session token is rejected without it.
	Session string
	// BasicUsername is the username, if the credential was presented as the password of Basic
	// authentication. It must name the credential, whose client must allow this.
	BasicUsername string
}

func (f Facts) caller() netip.Addr {
	if f.Caller.IsValid() {
		return f.Caller
	}
	return f.Source
}

// Identity is for whom a valid credential speaks, and what it may do. It holds neither the
// credential nor its digest. The values it points at are shared and never change.
type Identity struct {
	*Held
	*Owner
	// ID identifies the credential, as the name of its record does.
	ID ID
	// Kind is the kind of the credential.
	Kind token.Kind
	// IssuedAt has a precision of one second.
	IssuedAt time.Time
	// ExpiresAt is the first instant at which the credential is rejected; zero if it does not
	// expire.
	ExpiresAt time.Time
}

// Owner is the object that a credential belongs to.
type Owner struct {
	// Subject is the namespace and the name of an ApplicationToken, joined by a slash, or the name
	// of a User.
	Subject string
	UID     string
}

// Held is the authority of a credential: what it was given, within what its client holds now. A
// credential that speaks for a user has what the user has at that client now.
type Held struct {
	Client *Client
	// User is the user that the credential speaks for beside the client; nil: no user.
	User *User
	// Roles are bare names, sorted.
	Roles []string
	// Permissions are patterns, sorted: those of the roles, and single permissions.
	Permissions []string
	// Ranges are the addresses that the credential itself is bound to; empty: to none. Those of the
	// client apply in addition.
	Ranges []netip.Prefix
	// RoleList and PermissionList are the same, joined by commas.
	RoleList, PermissionList string
	// IsNarrowed reports whether the credential was narrowed to permissions, and so may hold less
	// than the user or the application token that it comes from.
	IsNarrowed bool

	// State of the user, if there is one: whether its credentials are rejected, and the password
	// that a login must have been opened with. They are copied here so that a verification does not
	// read the User: there may be many thousands of those.
	isDisabled    bool
	credential    fingerprint
	userCreatedAt int64 // a record that was issued before then is not that of the user; 0: it is

	isUngranted bool // the namespace of the owner is granted nothing

	parent *Held // of a narrowed access token: what its parent holds
}

// setAuthority sets the roles and the permissions.
func (h *Held) setAuthority(roles, permissions []string) {
	h.Roles, h.RoleList = roles, strings.Join(roles, ",")
	h.Permissions, h.PermissionList = permissions, strings.Join(permissions, ",")
}

// ID names a credential, but does not help to present it.
type ID [16]byte

// String returns the name of the record that vouches for the credential.
func (id ID) String() string {
	var name [len("at-") + 2*len(id)]byte
	hex.Encode(name[copy(name[:], "at-"):], id[:])
	return string(name[:])
}

// Client is a client in its current state.
type Client struct {
	Name      string
	AccountID int64 // 0: none
	Suspended bool
	Ceiling   grant.Ceiling
	Ranges    []netip.Prefix // empty: accepted from everywhere
	// MaxSessionLifetime is how long after the password a login is rejected; 0: never.
	MaxSessionLifetime time.Duration
	// AllowsBasic reports whether verification endpoints accept a name and a password, or a token
	// as the password, for this client.
	AllowsBasic bool
	// Draw returns the roles that a namespace with these labels may draw, and whether it may draw
	// any. Nil labels mean that the labels are unknown, and only grants that name the namespace
	// count. A nil Draw means that no namespace may draw any.
	Draw func(namespace string, labels map[string]string) (roles []string, granted bool)
}

// newHeld returns what was given, cut down to what the client holds. A narrowed login holds
// permissions alone, because a role can mean more than the permissions that were named.
func newHeld(c *Client, u *User, given *grants) *Held {
	roles, permissions := given.roles, given.permissions
	if u != nil {
		roles, permissions = u.Accounts[c.Name], nil
	}
	cut := c.Ceiling.Cut(roles, permissions)
	roles, permissions = cut.Roles, cut.Effective
	if given.isNarrowed {
		roles, permissions = nil, grant.Intersect(permissions, given.permissions)
	}
	h := &Held{Client: c, User: u, Ranges: given.ranges, IsNarrowed: given.isNarrowed}
	h.setAuthority(roles, permissions)
	if u != nil {
		h.isDisabled, h.credential = !u.isAllowedAt(c.Name), fingerprintOf(u.Credential)
	}
	return h
}

// SourceNetwork returns the network that limits count as one source. It is an IPv4 address, or the
// IPv6 network of 64 bits that one subscriber has. It is the zero Prefix for the zero Addr.
func SourceNetwork(a netip.Addr) netip.Prefix {
	a = a.Unmap() // all of IPv4 is in one IPv6 network
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) //nolint:errcheck // it fails for the zero Addr alone, whose Prefix is the zero one
	return p
}

// ParseRanges parses addresses in CIDR notation. An entry that cannot be parsed becomes one that
// holds no address, so an error in a list never widens it.
func ParseRanges(cidrs []string) []netip.Prefix {
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

// inRanges reports whether an address is in one of the ranges, or there are no ranges.
func inRanges(ranges []netip.Prefix, a netip.Addr) bool {
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
