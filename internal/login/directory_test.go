package login_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
)

func TestDirectory_ByUsernameFindsHolder(t *testing.T) {
	user := func(name, username string, age time.Duration) login.User {
		return login.User{Name: name, Username: username, CreatedAt: noon.Add(-age), UID: name}
	}
	holder := func(name, username string, age time.Duration) login.User {
		u := user(name, username, age)
		u.HoldsUsername = true
		return u
	}
	for what, x := range map[string]struct {
		do   func(*login.Directory)
		want string // the user that "alice" finds
	}{
		"no claimant of none":           {func(*login.Directory) {}, ""},
		"the one":                       {func(d *login.Directory) { d.SetUser(user("a", "alice", 1)) }, "a"},
		"not by the name of the object": {func(d *login.Directory) { d.SetUser(user("alice", "a", 1)) }, ""},
		"no claimant of two of whom none is known to have it": {func(d *login.Directory) {
			d.SetUser(user("a", "alice", 1))
			d.SetUser(user("b", "alice", 2))
		}, ""},
		"the one of two who has it, though the other is older": {func(d *login.Directory) {
			d.SetUser(holder("a", "alice", 1))
			d.SetUser(user("b", "alice", 2))
		}, "a"},
		"the older of two who have it": {func(d *login.Directory) {
			d.SetUser(holder("a", "alice", 1))
			d.SetUser(holder("b", "alice", 2))
		}, "b"},
		"of those of one instant who have it, the first by name": {func(d *login.Directory) {
			d.SetUser(holder("b", "alice", 1))
			d.SetUser(holder("a", "alice", 1))
			d.SetUser(holder("c", "alice", 1))
		}, "a"},
		"the younger, once the older has gone": {func(d *login.Directory) {
			d.SetUser(user("a", "alice", 1))
			d.SetUser(user("b", "alice", 2))
			d.RemoveUser("b")
		}, "a"},
		"the younger, once the older is named otherwise": {func(d *login.Directory) {
			d.SetUser(user("a", "alice", 1))
			d.SetUser(user("b", "alice", 2))
			d.SetUser(user("b", "bob", 2))
		}, "a"},
		"no claimant, once the one who had it has lost it": {func(d *login.Directory) {
			d.SetUser(holder("a", "alice", 2))
			d.SetUser(user("b", "alice", 1))
			d.SetUser(user("a", "alice", 2))
		}, ""},
		"no claimant, once all have gone": {func(d *login.Directory) {
			d.SetUser(user("a", "alice", 1))
			d.RemoveUser("a")
			d.RemoveUser("a")
		}, ""},
	} {
		var d login.Directory
		x.do(&d)
		if u, ok := d.ByUsername("alice"); u.Name != x.want || ok != (x.want != "") {
			t.Errorf("%s: %q, %t; want %q", what, u.Name, ok, x.want)
		}
	}
}

// naiveDirectory is a Directory that looks at everything.
type naiveDirectory struct {
	users   map[string]login.User
	clients map[string]login.Client
}

func (n naiveDirectory) byUsername(username string) (login.User, bool) {
	var found []login.User
	for _, u := range n.users {
		if u.Username == username {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b login.User) int {
		return login.CompareClaims(login.Claim{Name: a.Name, CreatedAt: a.CreatedAt, IsHeld: a.HoldsUsername}, login.Claim{Name: b.Name, CreatedAt: b.CreatedAt, IsHeld: b.HoldsUsername})
	})
	if len(found) == 0 || len(found) > 1 && !found[0].HoldsUsername {
		return login.User{}, false
	}
	return found[0], true
}

func (n naiveDirectory) byAccountID(id int64) (login.Client, bool) {
	var found []login.Client
	for _, c := range n.clients {
		if id != 0 && c.AccountID == id {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b login.Client) int {
		return login.CompareClaims(login.Claim{Name: a.Name, CreatedAt: a.CreatedAt, IsHeld: a.HoldsAccountID}, login.Claim{Name: b.Name, CreatedAt: b.CreatedAt, IsHeld: b.HoldsAccountID})
	})
	if len(found) == 0 || len(found) > 1 && !found[0].HoldsAccountID {
		return login.Client{}, false
	}
	return found[0], true
}

func TestCompareClaims_FirstHolderComesFirst(t *testing.T) {
	old, young := noon.Add(-time.Hour), noon
	claims := []login.Claim{
		{Name: "d", CreatedAt: young}, {Name: "c", CreatedAt: old}, {Name: "b", CreatedAt: old}, {Name: "z", CreatedAt: young, IsHeld: true}, {Name: "y", CreatedAt: old, IsHeld: true},
	}
	slices.SortFunc(claims, login.CompareClaims)
	var order string
	for _, c := range claims {
		order += c.Name
	}
	if order != "yzbcd" {
		t.Errorf("the order is %s", order)
	}
}

// For every order of events, the result is the same as that of a full scan.
func TestDirectory_MatchesNaiveImplementation(t *testing.T) {
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 1))
		name := func() string { return fmt.Sprint("n", r.IntN(6)) }
		var d login.Directory
		n := naiveDirectory{map[string]login.User{}, map[string]login.Client{}}
		for step := range 200 {
			name := name()
			since := noon.Add(time.Duration(r.IntN(3)) * time.Second)
			switch r.IntN(6) {
			case 0, 1:
				u := login.User{Name: name, Username: fmt.Sprint("n", r.IntN(4)), CreatedAt: since, UID: fmt.Sprint(step), Suspended: r.IntN(2) == 0, HoldsUsername: r.IntN(2) == 0}
				if r.IntN(2) == 0 {
					u.Credential = "f"
				}
				n.users[name] = u
				d.SetUser(u)
			case 2:
				delete(n.users, name)
				d.RemoveUser(name)
			case 3, 4:
				c := login.Client{Name: name, AccountID: int64(r.IntN(4)), CreatedAt: since, Limits: login.Limits{MaxSessions: step}, HoldsAccountID: r.IntN(2) == 0}
				n.clients[name] = c
				d.SetClient(c)
			case 5:
				delete(n.clients, name)
				d.RemoveClient(name)
			}
			if got, want := allAnswersOf(&d), n.allAnswers(); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, got, want)
			}
		}
	}
}

// allAnswersOf returns all answers of a Directory.
func allAnswersOf(d *login.Directory) map[string]any {
	return directoryAnswers(d.User, d.Client, d.ByUsername, d.ByAccountID, d.Decoys())
}

func (n naiveDirectory) allAnswers() map[string]any {
	var decoys []string
	for _, name := range slices.Sorted(maps.Keys(n.users)) {
		if n.users[name].Credential != "" {
			decoys = append(decoys, name)
		}
	}
	user := func(name string) (login.User, bool) {
		u, ok := n.users[name]
		if has, _ := n.byUsername(u.Username); has.Name != name {
			u.Username = ""
		}
		return u, ok
	}
	client := func(name string) (login.Client, bool) {
		c, ok := n.clients[name]
		if has, _ := n.byAccountID(c.AccountID); has.Name != name {
			c.AccountID = 0
		}
		return c, ok
	}
	return directoryAnswers(user, client, n.byUsername, n.byAccountID, decoys)
}

func directoryAnswers(
	user func(string) (login.User, bool), client func(string) (login.Client, bool),
	byUsername func(string) (login.User, bool), byAccountID func(int64) (login.Client, bool), decoys []string,
) map[string]any {
	said := map[string]any{"decoys": fmt.Sprint(decoys)}
	say := func(what string, who any, ok bool) { said[what] = fmt.Sprintf("%+v %t", who, ok) }
	for i := range 7 {
		name := fmt.Sprint("n", i)
		u, ok := user(name)
		say("user "+name, u, ok)
		c, ok := client(name)
		say("client "+name, c, ok)
		u, ok = byUsername(name)
		say("username "+name, u, ok)
		c, ok = byAccountID(int64(i))
		say("account "+name, c, ok)
	}
	return said
}
