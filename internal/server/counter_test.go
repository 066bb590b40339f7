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

	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// counter is a fake management service in memory, with the contract of the real one. Its tokens are
// records of the fake store.
type counter struct {
	mu       sync.Mutex
	t        testing.TB
	books    *ledger
	now      func() time.Time
	ceilings map[string]grant.Ceiling
	drawer   map[string]*kept // by namespace and name of the object
	used     map[verify.ID]bool
	last     desk.Scope // scope of the last call

	refusesSelf error // result of every rotation by a holder
}

// kept is a token with its versions, and the keys of the requests that made them.
type kept struct {
	desk.Token
	kind     token.Kind
	current  record.Record
	before   []record.Record
	keys     map[string]token.Digest // version by the key of the request that made it
	ofClone  string
	declared bool
}

var _ desk.Desk = (*counter)(nil)

var (
	given = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`)
)

func (c *counter) find(s desk.Scope, name string) (*kept, error) {
	c.last = s
	if c.books.away() {
		return nil, desk.ErrUnavailable
	}
	for _, k := range c.drawer {
		if k.Name == name && k.User == s.User && (s.User != "" || k.Client == s.Client) {
			return k, nil
		}
	}
	return nil, desk.ErrMissing
}

func (c *counter) Subject(s desk.Scope, name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, err := c.find(s, name); err == nil {
		return k.Namespace + "/" + k.Object
	}
	return ""
}

func (c *counter) check(s desk.Scope, roles, permissions, ranges []string) error {
	over := c.ceilings[s.Client].Cut(roles, permissions)
	switch {
	case s.User != "" && len(roles) > 0:
		return &desk.Refused{Field: "roles", Message: "cannot be given: a token of a user has what the user has"}
	case s.User != "" && len(permissions) > 0:
		return &desk.Refused{Field: "permissions", Message: "cannot be given: a token of a user has what the user has"}
	case len(roles) > 64 || len(over.OverRoles) > 0:
		return &desk.Refused{Field: "roles", Message: "are not all of the client"}
	case len(permissions) > 128 || len(over.OverPermissions) > 0:
		return &desk.Refused{Field: "permissions", Message: "are not all held by the client's roles"}
	}
	for _, r := range ranges {
		if _, err := netip.ParsePrefix(r); err != nil {
			return &desk.Refused{Field: "sourceRanges", Message: "are not all address ranges"}
		}
	}
	return nil
}

// oneTooMany is a name that exceeds the quota.
const oneTooMany = "one-too-many"

// permit denies a token that goes beyond what the caller holds.
func (c *counter) permit(by desk.Caller, t desk.Token) error {
	a := grant.Authority{Roles: t.Roles, Permissions: t.Permissions, Ranges: verify.Ranges(t.SourceRanges)}
	if t.Lifetime > 0 {
		a.End = c.now().Add(t.Lifetime)
	}
	if part, ok := a.Within(by.Holds); !ok && !by.Escalates {
		return &desk.Denied{Field: string(part), Message: "go beyond what the caller holds", Permission: desk.PermissionEscalate}
	}
	return nil
}

func (c *counter) Create(ctx context.Context, by desk.Caller, s desk.Scope, w desk.Wanted) (desk.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.create(ctx, by, s, w)
}

func (c *counter) create(ctx context.Context, by desk.Caller, s desk.Scope, w desk.Wanted) (desk.Issued, error) {
	if !given.MatchString(w.Name) {
		return desk.Issued{}, &desk.Refused{Field: "name", Message: "must be 1 to 63 letters, digits, ., _, ~ and -"}
	}
	if err := c.check(s, w.Roles, w.Permissions, w.SourceRanges); err != nil {
		return desk.Issued{}, err
	}
	if w.Name == oneTooMany {
		return desk.Issued{}, &desk.Refused{Message: "Client acme serves at most 5 tokens and 5 come before this one; raise spec.tokens.maxCount", Full: true}
	}
	if err := c.permit(by, desk.Token{Roles: w.Roles, Permissions: w.Permissions, SourceRanges: w.SourceRanges, Lifetime: w.Lifetime}); err != nil {
		return desk.Issued{}, err
	}
	_, err := c.find(s, w.Name)
	switch {
	case err == nil:
		return desk.Issued{}, desk.ErrTaken
	case !errors.Is(err, desk.ErrMissing):
		return desk.Issued{}, err
	}
	k := &kept{kind: token.Application, keys: map[string]token.Digest{}, Token: desk.Token{
		Name: w.Name, Namespace: "apptoken-system", Object: strings.ToLower(w.Name) + "-of-" + cmp.Or(s.User, s.Client), Client: s.Client, User: s.User,
		State: "Active", Ready: true, Reason: "Delivered", Roles: w.Roles, Permissions: w.Permissions, SourceRanges: w.SourceRanges, Lifetime: w.Lifetime,
	}}
	if s.User != "" {
		k.kind = token.UserApplication
	}
	issued, err := c.version(ctx, k)
	if err == nil {
		c.drawer[k.Namespace+"/"+k.Object] = k
	}
	return issued, err
}

// version issues a version of a token.
func (c *counter) version(ctx context.Context, k *kept) (desk.Issued, error) {
	minted, err := token.Mint(k.kind, rand.Reader)
	if err != nil {
		return desk.Issued{}, err
	}
	owner := record.Owner{Kind: "ApplicationToken", Namespace: k.Namespace, Name: k.Object, UID: "uid of " + k.Object}
	r := record.Record{
		Kind: k.kind, Digest: minted.Digest(), Hint: minted.Hint(), Owner: owner, Client: k.Client, User: k.User, Roles: k.Roles,
		Permissions: k.Permissions, SourceRanges: k.SourceRanges, IssuedAt: c.now(), Suspended: k.State != "Active",
	}
	if k.Lifetime > 0 {
		r.ExpiresAt = r.IssuedAt.Add(k.Lifetime)
	}
	if _, err := c.books.Add(ctx, r); err != nil {
		return desk.Issued{}, desk.ErrUnavailable
	}
	c.books.index.ResumeExempt(owner)
	k.current, k.ID, k.Hint, k.IssuedAt, k.ExpiresAt = r, r.Name(), r.Hint, r.IssuedAt, r.ExpiresAt
	if k.declared {
		return desk.Issued{Token: k.Token}, nil
	}
	return desk.Issued{Token: k.Token, Secret: minted}, nil
}

func (c *counter) List(_ context.Context, s desk.Scope) ([]desk.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = s
	if c.books.away() {
		return nil, desk.ErrUnavailable
	}
	var list []desk.Token
	for _, k := range c.drawer {
		if k.User == s.User && (s.User != "" || k.Client == s.Client) {
			list = append(list, k.Token)
		}
	}
	slices.SortFunc(list, func(a, b desk.Token) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (c *counter) Get(_ context.Context, s desk.Scope, name string) (desk.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return desk.Token{}, err
	}
	return k.Token, nil
}

func (c *counter) Change(ctx context.Context, by desk.Caller, s desk.Scope, name string, change desk.Change) (desk.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return desk.Token{}, err
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
		return desk.Token{}, &desk.Refused{Field: "state", Message: "must be Active or Suspended"}
	}
	if err := c.check(s, next.Roles, next.Permissions, next.SourceRanges); err != nil {
		return desk.Token{}, err
	}
	if err := c.permit(by, next); err != nil && next.State == "Active" {
		return desk.Token{}, err
	}
	next.Ready = next.State == "Active"
	k.Token = next
	for _, r := range append([]record.Record{k.current}, k.before...) {
		r.Roles, r.Permissions, r.SourceRanges, r.Suspended = k.Roles, k.Permissions, k.SourceRanges, k.State != "Active"
		if _, err := c.books.Add(ctx, r); err != nil {
			return desk.Token{}, desk.ErrUnavailable
		}
	}
	return k.Token, nil
}

func (c *counter) Clone(ctx context.Context, by desk.Caller, s desk.Scope, name, as, key string) (desk.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return desk.Issued{}, err
	}
	if made, err := c.find(s, as); err == nil && key != "" && made.ofClone == name+"\x00"+key {
		return c.replace(ctx, made, "")
	}
	issued, err := c.create(ctx, by, desk.Scope{Client: k.Client, User: s.User}, desk.Wanted{
		Name: as, Roles: k.Roles, Permissions: k.Permissions, SourceRanges: k.SourceRanges, Lifetime: k.Lifetime,
	})
	if err == nil {
		made, _ := c.find(s, as)
		made.ofClone = name + "\x00" + key
	}
	return issued, err
}

// replace replaces a version that was never used.
func (c *counter) replace(ctx context.Context, k *kept, key string) (desk.Issued, error) {
	for _, u := range c.books.index.Used(1000) {
		c.used[u.ID] = true
	}
	if c.used[verify.ID(k.current.Digest[:16])] {
		return desk.Issued{}, desk.ErrDone
	}
	unused := k.current
	issued, err := c.version(ctx, k)
	if err == nil {
		err = c.books.RetireAnyway(ctx, unused)
		k.keys[key] = k.current.Digest
	}
	return issued, err
}

func (c *counter) Rotate(ctx context.Context, by desk.Caller, s desk.Scope, name, key string) (desk.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return desk.Issued{}, err
	}
	if err := c.permit(by, k.Token); err != nil && !k.declared {
		return desk.Issued{}, err
	}
	if d, again := k.keys[key]; again && key != "" && d == k.current.Digest {
		return c.replace(ctx, k, key)
	}
	return c.succeed(ctx, k, key)
}

func (c *counter) succeed(ctx context.Context, k *kept, key string) (desk.Issued, error) {
	before := k.current
	k.Rotations, k.Predecessors = k.Rotations+1, k.Predecessors+1
	issued, err := c.version(ctx, k)
	if err == nil {
		k.before, k.keys[key] = append(k.before, before), k.current.Digest
	}
	return issued, err
}

func (c *counter) RotateOwn(ctx context.Context, _ desk.Caller, d token.Digest, key string) (desk.Issued, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.books.away() {
		return desk.Issued{}, desk.ErrUnavailable
	}
	if c.refusesSelf != nil {
		return desk.Issued{}, c.refusesSelf
	}
	key = "self\x00" + string(d[:]) + key
	for _, k := range c.drawer {
		i := slices.IndexFunc(k.before, func(r record.Record) bool { return r.Digest == d })
		switch {
		case k.current.Digest == d:
			return c.succeed(ctx, k, key)
		case i >= 0 && k.keys[key] == k.current.Digest:
			return c.replace(ctx, k, key)
		case i >= 0:
			return desk.Issued{}, desk.ErrSuperseded
		}
	}
	return desk.Issued{}, desk.ErrMissing
}

func (c *counter) Revoke(ctx context.Context, s desk.Scope, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(s, name)
	if err != nil {
		return err
	}
	for _, r := range append([]record.Record{k.current}, k.before...) {
		if err := c.books.RetireAnyway(ctx, r); err != nil {
			return desk.ErrUnavailable
		}
	}
	delete(c.drawer, k.Namespace+"/"+k.Object)
	return nil
}
