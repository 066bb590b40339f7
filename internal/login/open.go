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

// OwnerKind is the owner kind in the records of logins.
const OwnerKind = "User"

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
	if err := c.allows(t); err != nil {
		return Opened{}, err
	}
	b := bounds{authenticated: s.Now().Truncate(time.Second)}
	if t.Kind != token.Open { // allows decides about open tokens
		b = b.under(c)
	}
	o, err := s.draw(u, c, t, b)
	if err != nil {
		return Opened{}, err
	}
	// A refresh always opens a Login, which may do what other kinds may not.
	if t.Refreshable && t.Kind == token.Login {
		if err := s.beginFamily(&o, b); err != nil {
			return Opened{}, err
		}
	}
	return s.store(ctx, o)
}

// draw mints a login that ends within bounds, and builds its record. It stores nothing.
func (s *Service) draw(u User, c Client, t Terms, b bounds) (Opened, error) {
	tok, err := token.Mint(t.Kind, s.Entropy)
	if err != nil {
		return Opened{}, unavailable(err)
	}
	now := s.Now().Truncate(time.Second) // records hold whole seconds
	r := record.Record{
		Kind: t.Kind, Digest: tok.Digest(), Hint: tok.Hint(),
		Owner:  record.Owner{Kind: OwnerKind, Name: u.Name, UID: u.UID},
		Client: c.Name, User: u.Name, Credential: u.Credential, IssuedAt: now,
		AuthenticatedAt: b.authenticated, SessionEndsAt: b.session,
	}
	o := Opened{User: u, Client: c, Token: tok}
	lifetime := t.Lifetime
	switch t.Kind { //nolint:exhaustive // only these kinds are opened here
	case token.Login:
		lifetime = c.Lifetime
		if t.Remember {
			lifetime = c.Remembered
		}
	case token.Session:
		id, err := uuid.NewRandomFromReader(s.Entropy)
		if err != nil {
			return Opened{}, unavailable(err)
		}
		source := t.Source.Unmap().WithZone("")
		o.Session, r.Session, r.IdleTimeout = id.String(), verify.SessionDigest(id.String()), c.Idle
		r.SourceRanges = []string{netip.PrefixFrom(source, source.BitLen()).String()}
	}
	// A wrong lifetime ends the login at once: no mistake makes it last for ever.
	if lifetime != 0 || t.Kind == token.Login {
		r.ExpiresAt = now.Add(lifetime)
	}
	r.ExpiresAt = earliest(r.ExpiresAt, b.session, b.login)
	o.Record = r
	return o, nil
}

// beginFamily mints the first refresh token of a session.
func (s *Service) beginFamily(o *Opened, b bounds) error {
	family, err := token.NewFamily(s.Entropy)
	if err != nil {
		return unavailable(err)
	}
	return s.drawRefresh(o, family, b)
}

// drawRefresh mints the refresh token of a login, which ends within bounds.
func (s *Service) drawRefresh(o *Opened, family token.Family, b bounds) error {
	tok, err := family.Mint(s.Entropy)
	if err != nil {
		return unavailable(err)
	}
	o.Refresh = tok
	o.Record.Refresh = &record.Refresh{
		Digest: tok.Digest(), Family: family.Digest(),
		ExpiresAt: earliest(o.Record.IssuedAt.Add(o.Client.Refresh), b.session, b.refresh),
	}
	return nil
}

// store stores a login. If the user then has too many logins at that client, it ends the oldest of
// them.
func (s *Service) store(ctx context.Context, o Opened) (Opened, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	s.turns.LockKey(o.User.Name)
	defer s.turns.UnlockKey(o.User.Name) //nolint:errcheck // a hashed key mutex never fails
	o, err := s.write(ctx, o)
	if err != nil {
		return Opened{}, err
	}
	s.fresh.add(s.Now(), o.Record)
	s.trim(ctx, o)
	return o, nil
}

// write stores the record of a login. After an error the record may exist, because the response was
// lost. It is then deleted: no client has its credential, and the previous refresh token could
// still lead to it.
func (s *Service) write(ctx context.Context, o Opened) (Opened, error) {
	stored, err := s.Records.Add(ctx, o.Record)
	if err != nil {
		// The deadline of the request may have passed.
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if lost, findErr := s.Records.Find(again, o.Record.Digest); findErr == nil {
			err = errors.Join(err, s.retire(again, lost))
		}
		return Opened{}, unavailable(err)
	}
	o.Record = stored
	return o, nil
}
