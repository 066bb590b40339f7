package verify

import (
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/token"
)

// This file verifies access tokens. The authority of an access token is that of its parent, the
// application token that it was issued for: whatever ends, suspends or lowers the parent counts for
// the access token from the next verification on.

// authorityOf returns the item that holds the authority of a credential: its own, or the parent of
// an access token. It returns nil if the index does not hold the parent.
func (x *Index) authorityOf(it *item) *item {
	if it.Value.kind != token.Access {
		return it
	}
	return x.entries.Find(it.Value.grants.parent)
}

// verifyBy verifies a credential by the item that holds its authority.
func verifyBy(it, authority *item, now time.Time, kind token.Kind, f Facts) (Identity, Verdict) {
	if it.Value.kind != token.Access {
		return verifyItem(it, now, kind, f)
	}
	return verifyAccess(it, authority, now, kind, f)
}

// verifyAccess verifies an access token. Without its parent it is as unknown as one that never
// existed.
func verifyAccess(it, parent *item, now time.Time, kind token.Kind, f Facts) (Identity, Verdict) {
	e := &it.Value
	switch {
	case kind != token.Access, parent == nil, parent.Value.kind != token.Application:
		return Identity{}, Unknown
	case now.Unix() >= e.expiresAt, e.expiresAt == never: // every access token has an end
		return Identity{}, Expired
	case e.isSuspended:
		return Identity{}, Suspended
	}
	id, verdict := verifyItem(parent, now, token.Application, Facts{Source: f.Source})
	if verdict != Valid {
		return Identity{}, verdict
	}
	if f.BasicUsername != "" { // only the application token itself is a password
		return Identity{}, BasicForbidden
	}
	id.Held, id.ID, id.Kind, id.IssuedAt = e.grants.heldWithin(id.Held), recordIDOf(it.Digest), token.Access, timeOfSeconds(e.issuedAt)
	if end := time.Unix(e.expiresAt, 0).UTC(); id.ExpiresAt.IsZero() || end.Before(id.ExpiresAt) {
		id.ExpiresAt = end
	}
	return id, CheckRequirements(id.Held, f)
}

// heldWithin returns what the grants of an access token amount to within what its parent holds. The
// result is kept for as long as the parent holds the same.
func (g *grants) heldWithin(parent *Held) *Held {
	if !g.isNarrowed {
		return parent
	}
	if h := g.held.Load(); h != nil && h.parent == parent {
		return h
	}
	h := *parent
	h.parent, h.IsNarrowed = parent, true
	h.setAuthority(nil, grant.Intersect(parent.Permissions, g.permissions))
	g.held.Store(&h)
	return &h
}
