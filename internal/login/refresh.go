package login

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// errOvertaken reports that another request used the refresh token first.
var errOvertaken = errors.New("another request has just used the refresh token")

// RefreshRequest is a request to exchange a refresh token.
type RefreshRequest struct {
	Presented token.Token
	// Client is the client of the caller (RFC 6749, section 6). A login at another client is not
	// exchanged. If it is empty, a login at any client is.
	Client  string
	Source  netip.Addr
	Arrived time.Time // when the request came in
	// Permissions narrow the new login to these, sorted. They are within the permissions of the
	// session. Without any, the new login has those of the session.
	Permissions []string
	// Held returns the permissions that a user holds at a client. It is required with Permissions.
	Held func(u User, c Client) []string
}

// Refresh is Exchange for a request that does not narrow the login.
func (s *Service) Refresh(ctx context.Context, presented token.Token, client string, source netip.Addr, arrived time.Time) (Opened, error) {
	return s.Exchange(ctx, RefreshRequest{Presented: presented, Client: client, Source: source, Arrived: arrived})
}

// Exchange exchanges a refresh token for a new pair. One of several concurrent requests with the
// same token succeeds. A request that presents it again within RetryWindow gets another pair, which
// takes the place of the previous pair. After that, presenting it ends the session, and no other
// session. It returns *InvalidScope, and exchanges nothing, if the request names permissions that
// the session or the user does not hold.
func (s *Service) Exchange(ctx context.Context, req RefreshRequest) (Opened, error) {
	if req.Presented.Kind() != token.Refresh {
		return Opened{}, ErrDenied
	}
	d := req.Presented.Digest()
	again, err := s.bursts.begin(d, req.Arrived)
	if err != nil {
		return Opened{}, err
	}
	x := &exchange{RefreshRequest: req, digest: d, family: req.Presented.Family().Digest(), maybeExchanged: again}
	served := false // also if this panics
	defer func() { s.bursts.end(d, s.Now(), x.writeBegun, served) }()
	ctx, cancel := withStoreTimeout(ctx)
	defer cancel()
	o, err := s.refresh(ctx, x)
	served = err == nil || errors.Is(err, errOvertaken) // errOvertaken: another replica served the token
	if errors.Is(err, errOvertaken) {
		err = ErrDenied
	}
	if x.known != nil && errors.Is(err, ErrDenied) {
		err = &Denied{*x.known}
	}
	return o, err
}

// Session returns a record of the session of a refresh token from this replica's cache. It is for
// the audit log alone.
func (s *Service) Session(ctx context.Context, presented token.Token) (record.Record, bool) {
	rs, err := s.Records.ListByFamily(ctx, presented.Family().Digest(), false)
	if err != nil || len(rs) == 0 {
		return record.Record{}, false
	}
	return rs[0], true
}

// exchange is one call of Exchange.
type exchange struct {
	RefreshRequest
	digest         token.Digest
	family         token.Digest
	maybeExchanged bool // this replica may have exchanged it already, and its cache may not show that yet
	writeBegun     bool // a write has begun

	known *record.Record // the record of the token, or else one of its session; nil: the session has none
}

// setKnown sets known to a record of the session: that of the token itself, if it was found.
func (x *exchange) setKnown(found refreshState, r record.Record, family []record.Record) {
	switch {
	case found == refreshCurrent, found == refreshRetried:
		x.known = &r
	case len(family) > 0:
		x.known = &family[0]
	}
}

func (s *Service) refresh(ctx context.Context, x *exchange) (Opened, error) {
	rs, err := s.Records.ListByFamily(ctx, x.family, false)
	if err != nil {
		return Opened{}, unavailableError(err)
	}
	overtaken := false
	found, r := evaluateRefresh(s.Now(), x.digest, rs)
	x.setKnown(found, r, rs)
	if found == refreshCurrent && !x.maybeExchanged {
		o, err := s.exchangeLogin(ctx, x, r, rs)
		if !errors.Is(err, errOvertaken) {
			return o, err
		}
		overtaken = true
	}
	// The cache of this replica may be behind.
	if rs, err = s.readFamily(ctx, x.family, x.Source, x.maybeExchanged || len(rs) > 0); err != nil {
		return Opened{}, err
	}
	found, r = evaluateRefresh(s.Now(), x.digest, rs)
	x.setKnown(found, r, rs)
	switch {
	case found == refreshRetried && !x.maybeExchanged && (overtaken || s.bursts.isContended(x.digest)) &&
		x.Arrived.Before(r.IssuedAt.Add(time.Second+burstWindow)): // records hold whole seconds
		// This is not a retry: it arrived together with the request that was first, on another
		// replica.
		return Opened{}, errOvertaken
	case found == refreshCurrent, found == refreshRetried:
		return s.exchangeLogin(ctx, x, r, rs)
	case found == refreshReplayed:
		return Opened{}, s.endReplayed(ctx, rs, x.Source)
	default:
		return Opened{}, ErrDenied
	}
}

// readFamily reads the records of a session from the API server. Unknown sessions have a budget of
// reads of their own. It does not depend on the reads for known sessions, whose refresh tokens a
// client has or once had. In either budget no source has more than its share, and no known session
// has more than its share.
func (s *Service) readFamily(ctx context.Context, family token.Digest, source netip.Addr, known bool) ([]record.Record, error) {
	now, reads := s.Now(), s.unknownSessionReads
	if known {
		reads = s.knownSessionReads
		if _, ok := s.readsBySession.Allowed(now, string(family[:])); !ok {
			return nil, unavailableError(errors.New("too many refresh tokens of this session are presented that are not the last one"))
		}
	}
	if err := reads.take(now, source); err != nil {
		return nil, err
	}
	if known {
		s.readsBySession.Spend(now, string(family[:]))
	}
	rs, err := s.Records.ListByFamily(ctx, family, true)
	if err != nil {
		return nil, unavailableError(err)
	}
	return rs, nil
}

// exchangeLogin opens the login that replaces r. It stores the new login first, so a crash in
// between leaves only a login that no client has. It returns errOvertaken if another request
// replaced r, and then nothing is left of the new login.
func (s *Service) exchangeLogin(ctx context.Context, x *exchange, r record.Record, family []record.Record) (Opened, error) {
	u, c, err := s.stillAllowed(r)
	if err != nil {
		return Opened{}, err
	}
	if x.Client != "" && x.Client != r.Client {
		return Opened{}, ErrDenied
	}
	b := inheritedBounds(r, c)
	if b.isOver(s.Now()) {
		return Opened{}, ErrDenied
	}
	permissions, err := x.narrow(u, c, r)
	if err != nil {
		return Opened{}, err
	}
	if err := s.countExchange(u); err != nil {
		return Opened{}, err
	}
	o, err := s.mint(u, c, Terms{Kind: token.Login, Permissions: permissions}, b)
	if err != nil {
		return Opened{}, err
	}
	if err := s.mintRefresh(&o, x.Presented.Family(), b); err != nil {
		return Opened{}, err
	}
	keepSessionPermissions(&o.Record, r.SessionPermissions())
	replace := s.replace
	if x.digest != r.Refresh.Digest {
		replace = s.replaceAll
	}
	carryOverExcused(&o.Record, x.digest, r, family)
	x.writeBegun = true
	o, err = s.addSuccessor(ctx, o, r)
	if err != nil {
		return Opened{}, err
	}
	err = replace(ctx, o, r, family)
	if errors.Is(err, errOvertaken) {
		again, cancel := withStoreTimeout(ctx) // the deadline of the request may have passed
		defer cancel()
		// The record could be mistaken for that of the first request.
		if gone := s.retire(again, o.Record); gone != nil {
			return Opened{}, gone
		}
	}
	if err != nil { // any other error keeps the new login: a retry may find nothing else of the session
		return Opened{}, err
	}
	return o, nil
}

// addSuccessor stores a login that is about to replace another.
func (s *Service) addSuccessor(ctx context.Context, o Opened, before record.Record) (Opened, error) {
	o.Record.Predecessor = before.Name()
	return s.addRecord(ctx, o)
}

// replace ends the login before in favor of a login that was stored. A client has before, so the
// request that ends it is the one that succeeds. The other records of the session are left from
// crashes, or their writers are about to withdraw them.
func (s *Service) replace(ctx context.Context, o Opened, before record.Record, family []record.Record) error {
	if err := s.claim(ctx, before); err != nil {
		return err
	}
	for _, r := range family {
		if r.Digest == before.Digest {
			continue
		}
		// The previous refresh token could revive it beside the new login.
		if err := s.retire(ctx, r); err != nil {
			return err
		}
	}
	s.unlisted.add(s.Now(), o.Record)
	return nil
}

// replaceAll ends all records of a session, as the API server lists them, in favor of a login that
// was stored. It is not known which of them a client has. A request that ends all of them has ended
// that one, so two concurrent requests cannot both succeed. A request that ends only some of them
// may try again.
func (s *Service) replaceAll(ctx context.Context, o Opened, _ record.Record, family []record.Record) error {
	mine := 0
	for _, r := range family {
		err := s.claim(ctx, r)
		if err != nil && !errors.Is(err, errOvertaken) {
			return err
		}
		if err == nil {
			mine++
		}
	}
	switch mine {
	case len(family):
		s.unlisted.add(s.Now(), o.Record)
		return nil
	case 0:
		return errOvertaken
	default:
		return unavailableError(errors.New("another request is refreshing the session"))
	}
}

// claim deletes a record, and returns errOvertaken if another request deleted it. A change since
// the record was read, such as a noted use, does not matter.
func (s *Service) claim(ctx context.Context, r record.Record) error {
	for {
		err := s.Records.Claim(ctx, r)
		switch {
		case err == nil:
			s.rejectLocally(r)
			return nil
		case errors.Is(err, record.ErrGone):
			return errOvertaken
		case !errors.Is(err, record.ErrStale):
			return unavailableError(err)
		}
		now, err := s.Records.Find(ctx, r.Digest)
		switch {
		case errors.Is(err, record.ErrGone):
			return errOvertaken
		case err != nil:
			return unavailableError(err)
		}
		r = now
	}
}

// stillAllowed returns the user and the client of a login, if the user could open it now.
func (s *Service) stillAllowed(r record.Record) (User, Client, error) {
	u, ok := s.Directory.User(r.User)
	if !ok || u.Suspended || u.UID != r.Owner.UID || u.Credential == "" || u.Credential != r.Credential || !u.hasAccountAt(r.Client) || r.Suspended {
		return User{}, Client{}, ErrDenied
	}
	c, ok := s.Directory.Client(r.Client)
	if !ok || c.Suspended {
		return User{}, Client{}, ErrDenied
	}
	return u, c, nil
}

// endReplayed ends a session whose refresh token two parties hold.
func (s *Service) endReplayed(ctx context.Context, family []record.Record, source netip.Addr) error {
	if err := s.endFamily(ctx, family); err != nil {
		return err
	}
	if u, ok := s.Directory.User(family[0].User); ok {
		s.OnReplayed(u, family[0], source)
	}
	return ErrDenied
}
