package verify

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/token"
)

// Verify decides at the instant now whether the presented text is a valid credential that holds
// what the facts require. The Identity is set if the Verdict is Valid or IsForbidden.
func (x *Index) Verify(now time.Time, presented string, f Facts) (Identity, Verdict) {
	kind, digest, err := token.DigestOf(presented)
	if err != nil {
		return Identity{}, Malformed
	}
	return x.VerifyDigest(now, kind, digest, f)
}

// VerifyDigest is Verify for a text that was digested before.
func (x *Index) VerifyDigest(now time.Time, kind token.Kind, d token.Digest, f Facts) (Identity, Verdict) {
	it := x.entries.Find(d)
	if it == nil {
		return Identity{}, Unknown
	}
	return verifyBy(it, x.authorityOf(it), now, kind, f)
}

// verifyItem checks first whether the credential is valid at all, and then whether it holds what is
// required.
func verifyItem(it *item, now time.Time, kind token.Kind, f Facts) (Identity, Verdict) {
	e := &it.Value
	owner := e.ownerState.Load()
	c := e.grants.client.current.Load()
	switch {
	case kind != e.kind:
		return Identity{}, Unknown
	case now.Unix() >= e.expiresAt:
		return Identity{}, Expired
	case e.isSuspended:
		return Identity{}, Suspended
	case owner&ownerEnabled == 0:
		return Identity{}, OwnerDisabled
	case c == nil:
		return Identity{}, ClientMissing
	case c.Suspended:
		return Identity{}, ClientSuspended
	}
	var u *User
	if e.kind != token.Application {
		if p := e.grants.user; p != nil {
			u = p.current.Load()
		}
		if u == nil {
			return Identity{}, UserDisabled
		}
	}
	if now.Unix() >= e.endsAt(c) {
		return Identity{}, Expired
	}
	held := e.grants.heldNow(c, u, owner&ownerExempt != 0)
	switch {
	case held.isDisabled, e.kind == token.UserApplication && held.userCreatedAt > int64(e.issuedAt):
		return Identity{}, UserDisabled
	case held.isUngranted:
		return Identity{}, NamespaceNotGranted
	case e.login != nil && (e.login.credential == fingerprint{} || e.login.credential != held.credential):
		return Identity{}, PasswordChanged
	}
	source := f.Source.Unmap().WithZone("")
	if !inRanges(e.grants.ranges, source) || !inRanges(c.Ranges, source) {
		return Identity{}, SourceRefused
	}
	if e.login != nil {
		if v := e.login.check(now, e, f); v != Valid {
			return Identity{}, v
		}
	}
	if f.BasicUsername != "" {
		if v := e.checkBasic(c, u, f.BasicUsername); v != Valid {
			return Identity{}, v
		}
	}
	id := Identity{Held: held, Owner: e.ownerRef, ID: recordIDOf(it.Digest), Kind: e.kind, IssuedAt: timeOfSeconds(e.issuedAt)}
	if end := e.endsAt(c); end != never {
		id.ExpiresAt = time.Unix(end, 0).UTC()
	}
	return id, CheckRequirements(id.Held, f)
}

// endsAt returns the first instant, in Unix seconds, at which a credential is rejected at a client.
func (e *entry) endsAt(c *Client) int64 {
	if e.login == nil {
		return e.expiresAt
	}
	return min(e.expiresAt, e.login.endsAt(c))
}

// CheckRequirements returns Valid if h holds all that the facts require, and otherwise the Verdict
// for what is missing.
func CheckRequirements(h *Held, f Facts) Verdict {
	for _, client := range f.Clients {
		if client != h.Client.Name {
			return ClientRefused
		}
	}
	for _, role := range f.Roles {
		if !slices.Contains(h.Roles, role) {
			return RoleMissing
		}
	}
	for _, permission := range f.Permissions {
		if !grant.Covers(h.Permissions, permission) {
			return PermissionMissing
		}
	}
	return Valid
}
