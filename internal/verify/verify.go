package verify

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Verify decides at the instant now whether the presented text is a good credential that holds what the facts require.
// The Identity means something if the Verdict is Good or Forbidden.
func (x *Index) Verify(now time.Time, presented string, f Facts) (Identity, Verdict) {
	kind, digest, err := token.DigestOf(presented)
	if err != nil {
		return Identity{}, Malformed
	}
	return x.VerifyDigest(now, kind, digest, f)
}

// VerifyDigest is Verify of a text that was digested before.
func (x *Index) VerifyDigest(now time.Time, kind token.Kind, d token.Digest, f Facts) (Identity, Verdict) {
	e := x.entries.Find(d)
	if e == nil {
		return Identity{}, Unknown
	}
	return e.judge(now, kind, id(d), f)
}

// judgeRecord is Verify of a credential that the index does not know and the store vouches for. Its owner and its client
// are those of the index.
func (x *Index) judgeRecord(now time.Time, kind token.Kind, r record.Record, f Facts) (Identity, Verdict) {
	x.mu.Lock()
	e := x.outside(r)
	x.mu.Unlock()
	return e.judge(now, kind, id(r.Digest), f)
}

// judge asks first whether the credential is good at all, and only then whether it is good for this.
func (e *entry) judge(now time.Time, kind token.Kind, id ID, f Facts) (Identity, Verdict) {
	c := e.grants.tenant.now.Load()
	switch {
	case kind != e.kind:
		return Identity{}, Unknown
	case now.Unix() >= e.expiresAt:
		return Identity{}, Expired
	case e.suspended:
		return Identity{}, Suspended
	case !e.owner.lets(e.uid):
		return Identity{}, OwnerStopped
	case c == nil:
		return Identity{}, ClientMissing
	case c.Suspended:
		return Identity{}, ClientSuspended
	}
	source := f.Source.Unmap().WithZone("")
	if !within(e.grants.ranges, source) || !within(c.Ranges, source) {
		return Identity{}, SourceRefused
	}
	who := Identity{Held: e.grants.under(c), ID: id, Kind: e.kind, Subject: e.owner.subject, UID: e.uid, IssuedAt: time.Unix(e.issuedAt, 0).UTC()}
	if e.expiresAt != never {
		who.ExpiresAt = time.Unix(e.expiresAt, 0).UTC()
	}
	return who, require(who.Held, f)
}

// require asks whether all is held that is required.
func require(h *Held, f Facts) Verdict {
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
	return Good
}
