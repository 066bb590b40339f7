package server_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"regexp"
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

// fakeManagement is a fake management service in memory, with the contract of the real one. Its
// tokens are records of the fake store.
type fakeManagement struct {
	mu        sync.Mutex
	t         testing.TB
	store     *fakeStore
	now       func() time.Time
	ceilings  map[string]grant.Ceiling
	tokens    map[string]*fakeToken // by namespace and name of the object
	used      map[verify.ID]bool
	lastScope management.Scope // scope of the last call

	rotateOwnErr error // result of every rotation by a holder
}

// fakeToken is a token with its versions, and the keys of the requests that made them.
type fakeToken struct {
	management.Token
	kind         token.Kind
	current      record.Record
	predecessors []record.Record
	keys         map[string]token.Digest // version by the key of the request that made it
	ofClone      string
	isDeclared   bool
}

var _ management.API = (*fakeManagement)(nil)

var (
	tokenNameFormat = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`)
)

func (c *fakeManagement) find(s management.Scope, name string) (*fakeToken, error) {
	c.lastScope = s
	if c.store.isFailing() {
		return nil, management.ErrUnavailable
	}
	for _, k := range c.tokens {
		if k.Name == name && k.User == s.User && (s.User != "" || k.Client == s.Client) {
			return k, nil
		}
	}
	return nil, management.ErrNotFound
}

func (c *fakeManagement) Subject(s management.Scope, name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, err := c.find(s, name); err == nil {
		return k.Namespace + "/" + k.Object
	}
	return ""
}

func (c *fakeManagement) check(s management.Scope, roles, permissions, ranges []string) error {
	over := c.ceilings[s.Client].Cut(roles, permissions)
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

// nameOverQuota is a name that exceeds the quota.
const nameOverQuota = "one-too-many"

// permit denies a token that goes beyond what the caller holds.
func (c *fakeManagement) permit(by management.Caller, t management.Token) error {
	a := grant.Authority{Roles: t.Roles, Permissions: t.Permissions, Ranges: verify.ParseRanges(t.SourceRanges)}
	if t.Lifetime > 0 {
		a.End = c.now().Add(t.Lifetime)
	}
	if part, ok := a.Within(by.Authority); !ok && !by.CanEscalate {
		return &management.Denied{Field: string(part), Message: "go beyond what the caller holds", Permission: management.PermissionEscalate}
	}
	return nil
}

func (c *fakeManagement) Create(ctx context.Context, by management.Caller, s management.Scope, w management.TokenSpec) (management.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.create(ctx, by, s, w)
}

func (c *fakeManagement) create(ctx context.Context, by management.Caller, s management.Scope, w management.TokenSpec) (management.Issued, error) {
	if !tokenNameFormat.MatchString(w.Name) {
		return management.Issued{}, &management.Refused{Field: "name", Message: "must be 1 to 63 letters, digits, ., _, ~ and -"}
	}
	if err := c.check(s, w.Roles, w.Permissions, w.SourceRanges); err != nil {
		return management.Issued{}, err
	}
	if w.Name == nameOverQuota {
		return management.Issued{}, &management.Refused{Message: "Client acme serves at most 5 tokens and 5 come before this one; raise spec.tokens.maxCount", QuotaExceeded: true}
	}
	if err := c.permit(by, management.Token{Roles: w.Roles, Permissions: w.Permissions, SourceRanges: w.SourceRanges, Lifetime: w.Lifetime}); err != nil {
		return management.Issued{}, err
	}
	_, err := c.find(s, w.Name)
	switch {
	case err == nil:
		return management.Issued{}, management.ErrExists
	case !errors.Is(err, management.ErrNotFound):
		return management.Issued{}, err
	}
	k := &fakeToken{kind: token.Application, keys: map[string]token.Digest{}, Token: management.Token{
		Name: w.Name, Namespace: "apptoken-system", Object: strings.ToLower(w.Name) + "-of-" + cmp.Or(s.User, s.Client), Client: s.Client, User: s.User,
		State: "Active", Ready: true, Reason: "Delivered", Roles: w.Roles, Permissions: w.Permissions, SourceRanges: w.SourceRanges, Lifetime: w.Lifetime,
	}}
	if s.User != "" {
		k.kind = token.UserApplication
	}
	issued, err := c.version(ctx, k)
	if err == nil {
		c.tokens[k.Namespace+"/"+k.Object] = k
	}
	return issued, err
}

// version issues a version of a token.
func (c *fakeManagement) version(ctx context.Context, k *fakeToken) (management.Issued, error) {
	minted, err := token.Mint(k.kind, rand.Reader)
	if err != nil {
		return management.Issued{}, err
	}
	owner := record.Owner{Kind: "ApplicationToken", Namespace: k.Namespace, Name: k.Object, UID: "uid of " + k.Object}
	r := record.Record{
		Kind: k.kind, Digest: minted.Digest(), Hint: minted.Hint(), Owner: owner, Client: k.Client, User: k.User, Roles: k.Roles,
		Permissions: k.Permissions, SourceRanges: k.SourceRanges, IssuedAt: c.now(), Suspended: k.State != "Active",
	}
	if k.Lifetime > 0 {
		r.ExpiresAt = r.IssuedAt.Add(k.Lifetime)
	}
	if _, err := c.store.Add(ctx, r); err != nil {
		return management.Issued{}, management.ErrUnavailable
	}
	c.store.index.EnableExempt(owner)
	k.current, k.ID, k.Hint, k.IssuedAt, k.ExpiresAt = r, r.Name(), r.Hint, r.IssuedAt, r.ExpiresAt
	if k.isDeclared {
		return management.Issued{Token: k.Token}, nil
	}
	return management.Issued{Token: k.Token, Secret: minted}, nil
}

func (c *fakeManagement) List(_ context.Context, s management.Scope) ([]management.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastScope = s
	if c.store.isFailing() {
		return nil, management.ErrUnavailable
	}
	var list []management.Token
	for _, k := range c.tokens {
		if k.User == s.User && (s.User != "" || k.Client == s.Client) {
			list = append(list, k.Token)
		}
	}
	slices.SortFunc(list, func(a, b management.Token) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (c *fakeManagement) Get(_ context.Context, s management.Scope, name string) (management.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return management.Token{}, err
	}
	return k.Token, nil
}

func (c *fakeManagement) Change(ctx context.Context, by management.Caller, s management.Scope, name string, change management.Change) (management.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return management.Token{}, err
	}
	next := k.Token
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
	if err := c.check(s, next.Roles, next.Permissions, next.SourceRanges); err != nil {
		return management.Token{}, err
	}
	if err := c.permit(by, next); err != nil && next.State == "Active" {
		return management.Token{}, err
	}
	next.Ready = next.State == "Active"
	k.Token = next
	for _, r := range append([]record.Record{k.current}, k.predecessors...) {
		r.Roles, r.Permissions, r.SourceRanges, r.Suspended = k.Roles, k.Permissions, k.SourceRanges, k.State != "Active"
		if _, err := c.store.Add(ctx, r); err != nil {
			return management.Token{}, management.ErrUnavailable
		}
	}
	return k.Token, nil
}

func (c *fakeManagement) Clone(ctx context.Context, by management.Caller, s management.Scope, name, as, key string) (management.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return management.Issued{}, err
	}
	if made, err := c.find(s, as); err == nil && key != "" && made.ofClone == name+"\x00"+key {
		return c.replace(ctx, made, "")
	}
	issued, err := c.create(ctx, by, management.Scope{Client: k.Client, User: s.User}, management.TokenSpec{
		Name: as, Roles: k.Roles, Permissions: k.Permissions, SourceRanges: k.SourceRanges, Lifetime: k.Lifetime,
	})
	if err == nil {
		made, _ := c.find(s, as)
		made.ofClone = name + "\x00" + key
	}
	return issued, err
}

// replace replaces a version that was never used.
func (c *fakeManagement) replace(ctx context.Context, k *fakeToken, key string) (management.Issued, error) {
	for _, u := range c.store.index.TakeUses(1000) {
		c.used[u.ID] = true
	}
	if c.used[verify.ID(k.current.Digest[:16])] {
		return management.Issued{}, management.ErrRetryExpired
	}
	unused := k.current
	issued, err := c.version(ctx, k)
	if err == nil {
		err = c.store.RetireAnyway(ctx, unused)
		k.keys[key] = k.current.Digest
	}
	return issued, err
}

func (c *fakeManagement) Rotate(ctx context.Context, by management.Caller, s management.Scope, name, key string) (management.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return management.Issued{}, err
	}
	if err := c.permit(by, k.Token); err != nil && !k.isDeclared {
		return management.Issued{}, err
	}
	if d, again := k.keys[key]; again && key != "" && d == k.current.Digest {
		return c.replace(ctx, k, key)
	}
	return c.succeed(ctx, k, key)
}

func (c *fakeManagement) succeed(ctx context.Context, k *fakeToken, key string) (management.Issued, error) {
	before := k.current
	k.Rotations, k.Predecessors = k.Rotations+1, k.Predecessors+1
	issued, err := c.version(ctx, k)
	if err == nil {
		k.predecessors, k.keys[key] = append(k.predecessors, before), k.current.Digest
	}
	return issued, err
}

func (c *fakeManagement) RotateOwn(ctx context.Context, _ management.Caller, d token.Digest, key string) (management.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store.isFailing() {
		return management.Issued{}, management.ErrUnavailable
	}
	if c.rotateOwnErr != nil {
		return management.Issued{}, c.rotateOwnErr
	}
	key = "self\x00" + string(d[:]) + key
	for _, k := range c.tokens {
		i := slices.IndexFunc(k.predecessors, func(r record.Record) bool { return r.Digest == d })
		switch {
		case k.current.Digest == d:
			return c.succeed(ctx, k, key)
		case i >= 0 && k.keys[key] == k.current.Digest:
			return c.replace(ctx, k, key)
		case i >= 0:
			return management.Issued{}, management.ErrSuperseded
		}
	}
	return management.Issued{}, management.ErrNotFound
}

func (c *fakeManagement) Revoke(ctx context.Context, s management.Scope, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return err
	}
	for _, r := range append([]record.Record{k.current}, k.predecessors...) {
		if err := c.store.RetireAnyway(ctx, r); err != nil {
			return management.ErrUnavailable
		}
	}
	delete(c.tokens, k.Namespace+"/"+k.Object)
	return nil
}
