package directory

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Claims holds the claims to one account ID or username. The status of the holder records that it
// holds the value, and the holder keeps it.
type Claims struct {
	Holder string   // name of the object that holds the value
	others []string // names of the other objects that ask for it, sorted
}

// ResolveClaims decides whether an object or one of its rivals holds what they all ask for. It
// reads the rivals from the API server: the cache may not show yet that a rival became the holder a
// moment ago.
func ResolveClaims[T client.Object](ctx context.Context, live client.Reader, own T, rivals []T, claim func(T) (login.Claim, bool)) (Claims, error) {
	first, asks := claim(own)
	if !asks {
		return Claims{}, nil
	}
	all := []login.Claim{first}
	for _, rival := range rivals {
		if rival.GetName() == own.GetName() {
			continue
		}
		now, ok := rival.DeepCopyObject().(T)
		if !ok {
			return Claims{}, fmt.Errorf("a copy of %T is a %T", rival, now)
		}
		if err := live.Get(ctx, client.ObjectKeyFromObject(rival), now); err != nil {
			if client.IgnoreNotFound(err) == nil {
				continue
			}
			return Claims{}, fmt.Errorf("get %s: %w", rival.GetName(), err)
		}
		if c, asks := claim(now); asks {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, login.CompareClaims)
	c := Claims{Holder: all[0].Name}
	for _, other := range all[1:] {
		c.others = append(c.others, other.Name)
	}
	slices.Sort(c.others)
	return c, nil
}

// AccountIDClaim returns a function that returns the claim of a Client to an account ID, and
// reports whether the Client asks for it.
func AccountIDClaim(id *int64) func(*v1alpha1.Client) (login.Claim, bool) {
	return func(c *v1alpha1.Client) (login.Claim, bool) {
		asks := id != nil && c.Spec.AccountID != nil && *c.Spec.AccountID == *id
		return login.Claim{Name: c.Name, CreatedAt: c.CreationTimestamp.Time, IsHeld: HeldAccountID(c) != nil}, asks
	}
}

// HeldAccountID returns the account ID that a Client asks for and, by its status, holds. It returns
// nil if there is none.
func HeldAccountID(c *v1alpha1.Client) *int64 {
	if held := c.Status.AccountID; held != nil && c.Spec.AccountID != nil && *held == *c.Spec.AccountID {
		return held
	}
	return nil
}

// UsernameClaim returns a function that returns the claim of a User to a username, and reports
// whether the User asks for it.
func UsernameClaim(username string) func(*v1alpha1.User) (login.Claim, bool) {
	return func(u *v1alpha1.User) (login.Claim, bool) {
		return login.Claim{Name: u.Name, CreatedAt: u.CreationTimestamp.Time, IsHeld: holdsUsername(u)}, UsernameOf(u) == username
	}
}

// holdsUsername reports whether a User holds, by its status, the username that it asks for.
func holdsUsername(u *v1alpha1.User) bool { return u.Status.Username == UsernameOf(u) }

// ContestedCondition returns the condition of a holder whose value other objects ask for.
func (c Claims) ContestedCondition(kind, reason, what string) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: metav1.ConditionTrue, Reason: reason,
		Message: fmt.Sprintf("This object keeps %s, which others ask for: %s; choose another for them", what, tokenspec.JoinFirst(c.others)),
	}
}

// SetContested sets the condition of an object if other objects ask for what it holds. Otherwise it
// removes the condition.
func (c Claims) SetContested(conditions *[]metav1.Condition, of metav1.Object, now metav1.Time, condition metav1.Condition) {
	if c.Holder != of.GetName() || len(c.others) == 0 {
		meta.RemoveStatusCondition(conditions, condition.Type)
		return
	}
	condition.LastTransitionTime, condition.ObservedGeneration = now, of.GetGeneration()
	meta.SetStatusCondition(conditions, condition)
}
