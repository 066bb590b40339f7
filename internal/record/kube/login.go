package kube

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// ListLogins lists logins of a user, or access tokens of an application token, from the cache if
// there is one. The list may lack what this process has just stored, and hold what it has just
// deleted.
func (s *Store) ListLogins(ctx context.Context, q record.LoginQuery) ([]record.Record, error) {
	return ListLogins(ctx, s.client, s.namespace, q)
}

// ListLogins lists logins of a user, in no particular order. It leaves out a record that cannot be
// parsed, which makes no credential valid. A user may have thousands of logins, so a cache copies
// none of them.
func ListLogins(ctx context.Context, from client.Reader, namespace string, q record.LoginQuery) ([]record.Record, error) {
	var list v1alpha1.TokenRecordList
	err := from.List(ctx, &list, client.InNamespace(namespace), OwnedBy(q.User.Namespace, q.User.Name),
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency) // would wait for the writes of all owners
	if err != nil {
		return nil, fmt.Errorf("list the logins of %s %s: %w", q.User.Kind, q.User.Name, err)
	}
	matching, atClient := 0, 0
	for i := range list.Items {
		if !matches(&list.Items[i], q) {
			continue
		}
		matching++
		if list.Items[i].Spec.Client == q.Client {
			atClient++
		}
	}
	if atClient < q.Fewest {
		return nil, nil
	}
	rs := make([]record.Record, 0, matching)
	for i := range list.Items {
		if !matches(&list.Items[i], q) {
			continue
		}
		if r, err := FromObject(&list.Items[i]); err == nil {
			rs = append(rs, r)
		}
	}
	return rs, nil
}

// matches reports whether a TokenRecord is one that a query asks for.
func matches(obj *v1alpha1.TokenRecord, q record.LoginQuery) bool {
	return obj.Spec.Owner.Kind == q.User.Kind && (q.Kind == 0 || obj.Spec.Kind == recordKind(q.Kind)) && !IsDeleted(obj)
}

// readLogin parses the fields that only the records of logins and access tokens have.
func readLogin(s *v1alpha1.TokenRecordSpec) (r record.Record, err error) {
	if s.Parent != "" {
		if r.Parent, err = token.ParseDigest(string(s.Parent)); err != nil {
			return record.Record{}, fmt.Errorf("parent: %w", err)
		}
	}
	if s.Session != "" {
		if r.Session, err = token.ParseDigest(string(s.Session)); err != nil {
			return record.Record{}, fmt.Errorf("session: %w", err)
		}
	}
	if s.IdleTimeout != "" {
		if r.IdleTimeout, err = time.ParseDuration(string(s.IdleTimeout)); err != nil || r.IdleTimeout <= 0 {
			return record.Record{}, fmt.Errorf("idleTimeout %q is no length of time", s.IdleTimeout)
		}
	}
	if s.Refresh == nil {
		return r, nil
	}
	r.Refresh = &record.Refresh{
		PreviousUntil: optionalTime(s.Refresh.PreviousUntil), ExpiresAt: optionalTime(s.Refresh.ExpiresAt),
		Permissions: toStrings(s.Refresh.Permissions), IsOfUser: s.Refresh.Scope == v1alpha1.RefreshScopeUser,
	}
	for _, d := range []struct {
		to   *token.Digest
		text v1alpha1.Digest
	}{{&r.Refresh.Digest, s.Refresh.Digest}, {&r.Refresh.Family, s.Refresh.Family}, {&r.Refresh.Previous, s.Refresh.PreviousDigest}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = token.ParseDigest(string(d.text)); err != nil {
			return record.Record{}, fmt.Errorf("refresh: %w", err)
		}
	}
	for _, used := range s.Refresh.Recent {
		d, err := token.ParseDigest(string(used.Digest))
		if err != nil {
			return record.Record{}, fmt.Errorf("refresh: %w", err)
		}
		r.Refresh.Recent = append(r.Refresh.Recent, record.Recent{Digest: d, Until: used.Until.UTC()})
	}
	return r, nil
}

func refreshObject(r *record.Refresh) *v1alpha1.RefreshRecord {
	if r == nil {
		return nil
	}
	obj := &v1alpha1.RefreshRecord{
		Digest: digestText(r.Digest), Family: digestText(r.Family),
		PreviousDigest: digestText(r.Previous), PreviousUntil: optionalMetaTime(r.PreviousUntil), ExpiresAt: optionalMetaTime(r.ExpiresAt),
		Permissions: fromStrings[v1alpha1.Permission](r.Permissions),
	}
	if r.IsOfUser {
		obj.Scope = v1alpha1.RefreshScopeUser
	}
	for _, used := range r.Recent {
		obj.Recent = append(obj.Recent, v1alpha1.RecentRefresh{Digest: digestText(used.Digest), Until: metav1.NewTime(used.Until)})
	}
	return obj
}

func digestText(d token.Digest) v1alpha1.Digest {
	if d == (token.Digest{}) {
		return ""
	}
	return v1alpha1.Digest(d.String())
}

func durationText(d time.Duration) v1alpha1.PositiveDuration {
	if d == 0 {
		return ""
	}
	return v1alpha1.PositiveDuration(fmt.Sprintf("%ds", int64(d/time.Second)))
}

// recordKind returns the kind in a TokenRecord. It is the same for the application tokens of
// clients and of users, which differ in the field user.
func recordKind(k token.Kind) v1alpha1.RecordKind {
	if k == token.UserApplication {
		k = token.Application
	}
	return v1alpha1.RecordKind(k.String())
}
