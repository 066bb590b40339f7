package login

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// OwnerKindUser is the owner kind in the records of logins.
const OwnerKindUser = "User"

// Terms are the conditions on which a login is opened.
type Terms struct {
	Kind token.Kind // Login, Session or Open
	// Remember asks for the longer lifetime of a Login.
	Remember bool
	// Refreshable asks for a refresh token beside a Login.
	Refreshable bool
	// Lifetime is that of a Session or an Open. With 0 it has no fixed end; a Session still ends
	// when it is idle.
	Lifetime time.Duration
	// Source is the only address from which a Session is accepted.
	Source netip.Addr
	// Permissions narrow the login to these, sorted. Without any it is not narrowed.
	Permissions []string
}

// Opened is a login that was opened. Its secrets go into the response and nowhere else.
type Opened struct {
	Record  record.Record
	User    User
	Client  Client
	Token   token.Token
	Refresh token.Token // the zero Token if the login has none
	Session string      // the session ID of a Session; empty for other kinds
}

// GUID returns the login's name as a UUID (RFC 9562, version 8), derived from the name of its
// record.
func (o Opened) GUID() string {
	id := uuid.UUID(o.Record.Digest[:16])
	id[6], id[8] = id[6]&0x0F|0x80, id[8]&0x3F|0x80
	return id.String()
}

// Open opens a login of a user at a client. It returns *Forbidden if the client does not allow
// these terms.
func (s *Service) Open(ctx context.Context, u User, c Client, t Terms) (Opened, error) {
	if err := c.checkTerms(t); err != nil {
		return Opened{}, err
	}
	b := bounds{authenticated: s.Now().Truncate(time.Second)}
	if t.Kind != token.Open { // allows decides about open tokens
		b = b.cutToPolicy(c)
	}
	o, err := s.mint(u, c, t, b)
	if err != nil {
		return Opened{}, err
	}
	// A refresh always opens a Login, which may do what other kinds may not.
	if t.Refreshable && t.Kind == token.Login {
		if err := s.beginFamily(&o, b); err != nil {
			return Opened{}, err
		}
	}
	return s.storeLogin(ctx, o)
}

// mint mints a login that ends within bounds, and builds its record. It stores nothing.
func (s *Service) mint(u User, c Client, t Terms, b bounds) (Opened, error) {
	tok, err := token.Mint(t.Kind, s.Entropy)
	if err != nil {
		return Opened{}, unavailableError(err)
	}
	now := s.Now().Truncate(time.Second) // records hold whole seconds
	r := record.Record{
		Kind: t.Kind, Digest: tok.Digest(), Hint: tok.Hint(),
		Owner:  record.Owner{Kind: OwnerKindUser, Name: u.Name, UID: u.UID},
		Client: c.Name, User: u.Name, Credential: u.Credential, IssuedAt: now,
		AuthenticatedAt: b.authenticated, SessionEndsAt: b.session, Permissions: t.Permissions,
	}
	o := Opened{User: u, Client: c, Token: tok}
	lifetime := t.Lifetime
	switch t.Kind { //nolint:exhaustive // only these kinds are opened here
	case token.Login:
		lifetime = c.LoginLifetime
		if t.Remember {
			lifetime = c.RememberedLifetime
		}
	case token.Session:
		id, err := uuid.NewRandomFromReader(s.Entropy)
		if err != nil {
			return Opened{}, unavailableError(err)
		}
		source := t.Source.Unmap().WithZone("")
		o.Session, r.Session, r.IdleTimeout = id.String(), verify.SessionDigest(id.String()), c.IdleTimeout
		r.SourceRanges = []string{netip.PrefixFrom(source, source.BitLen()).String()}
	}
	// A wrong lifetime ends the login at once: no mistake makes it last for ever.
	if lifetime != 0 || t.Kind == token.Login {
		r.ExpiresAt = now.Add(lifetime)
	}
	r.ExpiresAt = earliestEnd(r.ExpiresAt, b.session, b.login)
	o.Record = r
	return o, nil
}

// beginFamily mints the first refresh token of a session.
func (s *Service) beginFamily(o *Opened, b bounds) error {
	family, err := token.NewFamily(s.Entropy)
	if err != nil {
		return unavailableError(err)
	}
	return s.mintRefresh(o, family, b)
}

// mintRefresh mints the refresh token of a login, which ends within bounds.
func (s *Service) mintRefresh(o *Opened, family token.Family, b bounds) error {
	tok, err := family.Mint(s.Entropy)
	if err != nil {
		return unavailableError(err)
	}
	o.Refresh = tok
	o.Record.Refresh = &record.Refresh{
		Digest: tok.Digest(), Family: family.Digest(),
		ExpiresAt: earliestEnd(o.Record.IssuedAt.Add(o.Client.RefreshLifetime), b.session, b.refresh),
	}
	return nil
}

// storeLogin stores a login. If the user then has too many logins at that client, it ends the
// oldest of them.
func (s *Service) storeLogin(ctx context.Context, o Opened) (Opened, error) {
	ctx, cancel := withStoreTimeout(ctx)
	defer cancel()
	s.userLocks.LockKey(o.User.Name)
	defer s.userLocks.UnlockKey(o.User.Name) //nolint:errcheck // a hashed key mutex never fails
	o, err := s.addRecord(ctx, o)
	if err != nil {
		return Opened{}, err
	}
	s.unlisted.add(s.Now(), o.Record)
	s.enforceSessionLimit(ctx, o)
	return o, nil
}

// addRecord stores the record of a login. After an error the record may exist, because the response
// was lost. It is then deleted: no client has its credential, and the previous refresh token could
// still lead to it.
func (s *Service) addRecord(ctx context.Context, o Opened) (Opened, error) {
	stored, err := s.Records.Add(ctx, o.Record)
	if err != nil {
		// The deadline of the request may have passed.
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if lost, findErr := s.Records.Find(again, o.Record.Digest); findErr == nil {
			err = errors.Join(err, s.retire(again, lost))
		}
		return Opened{}, unavailableError(err)
	}
	o.Record = stored
	return o, nil
}
