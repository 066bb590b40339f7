package directory_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/verify"
)

// Each replica follows the statuses, with or without a leader, and shows no object under the
// account ID or username of another.
func TestClaims_ReplicasShowOnlyTheHolder(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := int64(7)
	object := func(name string, age time.Duration) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon.Add(-age))}
	}
	index, known := &verify.Index{}, &login.Directory{}
	clients := directory.NewClientHandler(index, known)
	users := (&directory.UserSync{Index: index, Directory: known}).UserHandler()
	verifier := verify.NewVerifier(index, nil, verify.Options{LookupsPerSecond: 1, Now: func() time.Time { return noon }})
	verifier.MarkFresh()
	set := func(name string, age time.Duration, asks, has bool) {
		c := &v1alpha1.Client{ObjectMeta: object(name, age), Spec: v1alpha1.ClientSpec{State: v1alpha1.StateActive}}
		u := &v1alpha1.User{ObjectMeta: object(name, age), Spec: v1alpha1.UserSpec{
			State: v1alpha1.StateActive, Username: "other-" + name, Accounts: []v1alpha1.Account{{Client: name}},
		}}
		if asks {
			c.Spec.AccountID, u.Spec.Username = &id, "shared"
		}
		if has {
			c.Status.AccountID, u.Status.Username = &id, "shared"
		}
		clients.OnAdd(c, false)
		users.OnAdd(u, false)
	}
	expect := func(when, want string) {
		t.Helper()
		var shown []string
		for _, name := range []string{"old", "young"} {
			who, verdict := verifier.PasswordIdentity(name, name, netip.Addr{})
			if verdict != verify.Valid {
				t.Fatalf("%s: %s is %v", when, name, verdict)
			}
			if who.Client.AccountID == id != (who.User.Username == "shared") {
				t.Errorf("%s: of %s the verifier shows %d and %q", when, name, who.Client.AccountID, who.User.Username)
			}
			if who.Client.AccountID == id {
				shown = append(shown, name)
			}
		}
		c, _ := known.ByAccountID(id)
		u, _ := known.ByUsername("shared")
		if got := fmt.Sprint(shown, c.Name, u.Name); got != fmt.Sprint(strings.Fields(want), want, want) {
			t.Errorf("%s: %s, want %q", when, got, want)
		}
	}
	set("old", time.Hour, false, false)
	set("young", 0, true, false)
	expect("one asks alone, and no leader has decided", "young")
	set("old", time.Hour, true, false)
	expect("two ask, and no leader has decided", "")
	set("young", 0, true, true)
	expect("the younger has it", "young")
	set("young", 0, false, true)
	expect("the younger asks for another", "old")
	set("old", time.Hour, true, true)
	set("young", 0, true, true)
	expect("both have it, after a restore", "old")
	c, u := &v1alpha1.Client{ObjectMeta: object("old", time.Hour)}, &v1alpha1.User{ObjectMeta: object("old", time.Hour), Spec: v1alpha1.UserSpec{Username: "shared"}}
	clients.OnDelete(c)
	users.OnDelete(u)
	if c, _ := known.ByAccountID(id); c.Name != "young" {
		t.Errorf("once the older is gone, %q has the account ID", c.Name)
	}
	if u, _ := known.ByUsername("shared"); u.Name != "young" {
		t.Errorf("once the older is gone, %q has the username", u.Name)
	}
}
