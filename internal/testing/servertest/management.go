package servertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// TokenService is a management service in memory, with the contract of the real one. Its tokens are
// records of the Store.
type TokenService struct {
	mu        sync.Mutex
	t         testing.TB
	store     *Store
	now       func() time.Time
	Ceilings  map[string]grant.Ceiling
	Tokens    map[string]*ManagedToken // by namespace and name of the object
	used      map[verify.ID]bool
	LastScope management.Scope // scope of the last call

	RotateOwnErr error // result of every rotation by a holder
}

// ManagedToken is a token with its versions, and the keys of the requests that made them.
type ManagedToken struct {
	management.Token
	kind               token.Kind
	CurrentRecord      record.Record           // of the current version
	PredecessorRecords []record.Record         // of the versions before it
	keys               map[string]token.Digest // version by the key of the request that made it
	ofClone            string
	IsDeclared         bool // whether it is delivered in a Secret
}

var _ management.API = (*TokenService)(nil)

func (svc *TokenService) find(s management.Scope, name string) (*ManagedToken, error) {
	svc.LastScope = s
	if svc.store.isFailing() {
		return nil, management.ErrUnavailable
	}
	for _, held := range svc.Tokens {
		if held.Name == name && held.User == s.User && (s.User != "" || held.Client == s.Client) {
			return held, nil
		}
	}
	return nil, management.ErrNotFound
}

// Find returns a token of a client, or nil if there is none.
func (svc *TokenService) Find(client, name string) *ManagedToken {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	held, _ := svc.find(management.Scope{Client: client}, name)
	return held
}

// Subject returns the namespace and name of a token's object.
func (svc *TokenService) Subject(s management.Scope, name string) string {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	if held, err := svc.find(s, name); err == nil {
		return held.Namespace + "/" + held.Object
	}
	return ""
}

func (svc *TokenService) check(s management.Scope, roles, permissions, ranges []string) error {
	over := svc.Ceilings[s.Client].Cut(roles, permissions)
	switch {
	case s.User != "" && len(roles) > 0:
		return &management.Refused{Field: "roles", Message: "cannot be given: a token of a user has what the user has"}
	case s.User != "" && len(permissions) > 0:
		return &management.Refused{Field: "permissions", Message: "cannot be given: a token of a user has what the user has"}
	case len(roles) > 64 || len(over.OverRoles) > 0:
		return &management.Refused{Field: "roles", Message: "are not all of the client"}
	case len(permissions) > 128 || len(over.OverPermissions) > 0:
		return &management.Refused{Field: "permissions", Message: "are not all held by the client's roles"}
	}
	for _, r := range ranges {
		if _, err := netip.ParsePrefix(r); err != nil {
			return &management.Refused{Field: "sourceRanges", Message: "are not all address ranges"}
		}
	}
	return nil
}

// NameOverQuota is a name that exceeds the quota.
const NameOverQuota = "one-too-many"

// permit denies a token that goes beyond what the caller holds.
func (svc *TokenService) permit(by management.Caller, t management.Token) error {
	a := grant.Authority{Roles: t.Roles, Permissions: t.Permissions, Ranges: verify.ParseRanges(t.SourceRanges)}
	if t.Lifetime > 0 {
		a.End = svc.now().Add(t.Lifetime)
	}
	if part, ok := a.Within(by.Authority); !ok && !by.CanEscalate {
		return &management.Denied{Field: string(part), Message: "go beyond what the caller holds", Permission: management.PermissionEscalate}
	}
	return nil
}

// Create creates a token.
func (svc *TokenService) Create(ctx context.Context, by management.Caller, s management.Scope, w management.TokenSpec) (management.Issued, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	return svc.create(ctx, by, s, w)
}

func (svc *TokenService) create(ctx context.Context, by management.Caller, s management.Scope, w management.TokenSpec) (management.Issued, error) {
	if err := management.CheckTokenName(w.Name); err != nil {
		return management.Issued{}, err
	}
	if err := svc.check(s, w.Roles, w.Permissions, w.SourceRanges); err != nil {
		return management.Issued{}, err
	}
	if w.Name == NameOverQuota {
		return management.Issued{}, &management.Refused{Message: "Client acme serves at most 5 tokens and 5 come before this one; raise spec.tokens.maxCount", QuotaExceeded: true}
	}
	if err := svc.permit(by, management.Token{Roles: w.Roles, Permissions: w.Permissions, SourceRanges: w.SourceRanges, Lifetime: w.Lifetime}); err != nil {
		return management.Issued{}, err
	}
	_, err := svc.find(s, w.Name)
	switch {
	case err == nil:
		return management.Issued{}, management.ErrExists
	case !errors.Is(err, management.ErrNotFound):
		return management.Issued{}, err
	}
	digits := verify.DigitsOfName(s.Client, s.User, w.Name)
	held := &ManagedToken{kind: token.Application, keys: map[string]token.Digest{}, Token: management.Token{
		Name: w.Name, Namespace: "apptoken-system", Object: strings.ToLower(w.Name) + "-" + string(digits[:]), Client: s.Client, User: s.User,
		State: "Active", Ready: true, Reason: "Delivered", Roles: w.Roles, Permissions: w.Permissions, SourceRanges: w.SourceRanges, Lifetime: w.Lifetime,
	}}
	if s.User != "" {
		held.kind = token.UserApplication
	}
	issued, err := svc.version(ctx, held)
	if err == nil {
		svc.Tokens[held.Namespace+"/"+held.Object] = held
	}
	return issued, err
}

// version issues a version of a token.
func (svc *TokenService) version(ctx context.Context, held *ManagedToken) (management.Issued, error) {
	minted, err := token.Mint(held.kind, rand.Reader)
	if err != nil {
		return management.Issued{}, err
	}
	owner := record.Owner{Kind: "ApplicationToken", Namespace: held.Namespace, Name: held.Object, UID: "uid of " + held.Object}
	r := record.Record{
		Kind: held.kind, Digest: minted.Digest(), Hint: minted.Hint(), Owner: owner, Client: held.Client, User: held.User, Roles: held.Roles,
		Permissions: held.Permissions, SourceRanges: held.SourceRanges, IssuedAt: svc.now(), Suspended: held.State != "Active",
	}
	if held.Lifetime > 0 {
		r.ExpiresAt = r.IssuedAt.Add(held.Lifetime)
	}
	if _, err := svc.store.Add(ctx, r); err != nil {
		return management.Issued{}, management.ErrUnavailable
	}
	svc.store.index.EnableExempt(owner)
	held.CurrentRecord, held.ID, held.Hint, held.IssuedAt, held.ExpiresAt = r, r.Name(), r.Hint, r.IssuedAt, r.ExpiresAt
	if held.IsDeclared {
		return management.Issued{Token: held.Token}, nil
	}
	return management.Issued{Token: held.Token, Secret: minted}, nil
}

// List returns the tokens of a scope, by name.
func (svc *TokenService) List(_ context.Context, s management.Scope) ([]management.Token, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	svc.LastScope = s
	if svc.store.isFailing() {
		return nil, management.ErrUnavailable
	}
	var list []management.Token
	for _, held := range svc.Tokens {
		if held.User == s.User && (s.User != "" || held.Client == s.Client) {
			list = append(list, held.Token)
		}
	}
	slices.SortFunc(list, func(a, b management.Token) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Get returns a token.
func (svc *TokenService) Get(_ context.Context, s management.Scope, name string) (management.Token, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	held, err := svc.find(s, name)
	if err != nil {
		return management.Token{}, err
	}
	return held.Token, nil
}

// Change changes a token.
func (svc *TokenService) Change(ctx context.Context, by management.Caller, s management.Scope, name string, change management.Change) (management.Token, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	held, err := svc.find(s, name)
	if err != nil {
		return management.Token{}, err
	}
	next := held.Token
	for to, from := range map[*[]string]*[]string{&next.Roles: change.Roles, &next.Permissions: change.Permissions, &next.SourceRanges: change.SourceRanges} {
		if from != nil {
			*to = *from
		}
	}
	if change.State != nil {
		next.State = *change.State
	}
	if next.State != "Active" && next.State != "Suspended" {
		return management.Token{}, &management.Refused{Field: "state", Message: "must be Active or Suspended"}
	}
	if err := svc.check(s, next.Roles, next.Permissions, next.SourceRanges); err != nil {
		return management.Token{}, err
	}
	if err := svc.permit(by, next); err != nil && next.State == "Active" {
		return management.Token{}, err
	}
	next.Ready = next.State == "Active"
	held.Token = next
	for _, r := range append([]record.Record{held.CurrentRecord}, held.PredecessorRecords...) {
		r.Roles, r.Permissions, r.SourceRanges, r.Suspended = held.Roles, held.Permissions, held.SourceRanges, held.State != "Active"
		if _, err := svc.store.Add(ctx, r); err != nil {
			return management.Token{}, management.ErrUnavailable
		}
	}
	return held.Token, nil
}

// Clone creates a token like another one.
func (svc *TokenService) Clone(ctx context.Context, by management.Caller, s management.Scope, name, as, key string) (management.Issued, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	held, err := svc.find(s, name)
	if err != nil {
		return management.Issued{}, err
	}
	if made, err := svc.find(s, as); err == nil && key != "" && made.ofClone == name+"\x00"+key {
		return svc.replace(ctx, made, "")
	}
	issued, err := svc.create(ctx, by, management.Scope{Client: held.Client, User: s.User}, management.TokenSpec{
		Name: as, Roles: held.Roles, Permissions: held.Permissions, SourceRanges: held.SourceRanges, Lifetime: held.Lifetime,
	})
	if err == nil {
		made, _ := svc.find(s, as)
		made.ofClone = name + "\x00" + key
	}
	return issued, err
}

// replace replaces a version that was never used.
func (svc *TokenService) replace(ctx context.Context, held *ManagedToken, key string) (management.Issued, error) {
	for _, u := range svc.store.index.TakeUses(1000) {
		svc.used[u.ID] = true
	}
	if svc.used[verify.ID(held.CurrentRecord.Digest[:16])] {
		return management.Issued{}, management.ErrRetryExpired
	}
	unused := held.CurrentRecord
	issued, err := svc.version(ctx, held)
	if err == nil {
		err = svc.store.RetireAnyway(ctx, unused)
		held.keys[key] = held.CurrentRecord.Digest
	}
	return issued, err
}

// Rotate replaces a token.
func (svc *TokenService) Rotate(ctx context.Context, by management.Caller, s management.Scope, name, key string) (management.Issued, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	held, err := svc.find(s, name)
	if err != nil {
		return management.Issued{}, err
	}
	if err := svc.permit(by, held.Token); err != nil && !held.IsDeclared {
		return management.Issued{}, err
	}
	if d, again := held.keys[key]; again && key != "" && d == held.CurrentRecord.Digest {
		return svc.replace(ctx, held, key)
	}
	return svc.succeed(ctx, held, key)
}

func (svc *TokenService) succeed(ctx context.Context, held *ManagedToken, key string) (management.Issued, error) {
	before := held.CurrentRecord
	held.Rotations, held.Predecessors = held.Rotations+1, held.Predecessors+1
	issued, err := svc.version(ctx, held)
	if err == nil {
		held.PredecessorRecords, held.keys[key] = append(held.PredecessorRecords, before), held.CurrentRecord.Digest
	}
	return issued, err
}

// RotateOwn replaces the token that its holder presents.
func (svc *TokenService) RotateOwn(ctx context.Context, _ management.Caller, d token.Digest, key string) (management.Issued, error) {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	if svc.store.isFailing() {
		return management.Issued{}, management.ErrUnavailable
	}
	if svc.RotateOwnErr != nil {
		return management.Issued{}, svc.RotateOwnErr
	}
	key = "self\x00" + string(d[:]) + key
	for _, held := range svc.Tokens {
		i := slices.IndexFunc(held.PredecessorRecords, func(r record.Record) bool { return r.Digest == d })
		switch {
		case held.CurrentRecord.Digest == d:
			return svc.succeed(ctx, held, key)
		case i >= 0 && held.keys[key] == held.CurrentRecord.Digest:
			return svc.replace(ctx, held, key)
		case i >= 0:
			return management.Issued{}, management.ErrSuperseded
		}
	}
	return management.Issued{}, management.ErrNotFound
}

// Revoke deletes a token.
func (svc *TokenService) Revoke(ctx context.Context, s management.Scope, name string) error {
	svc.mu.Lock()
	defer svc.mu.Unlock()
	held, err := svc.find(s, name)
	if err != nil {
		return err
	}
	for _, r := range append([]record.Record{held.CurrentRecord}, held.PredecessorRecords...) {
		if err := svc.store.RetireAnyway(ctx, r); err != nil {
			return management.ErrUnavailable
		}
	}
	delete(svc.Tokens, held.Namespace+"/"+held.Object)
	return nil
}
