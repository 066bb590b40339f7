package login_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
)

func TestWhoIsFoundByAUsername(t *testing.T) {
	user := func(name, username string, age time.Duration) login.User {
		return login.User{Name: name, Username: username, Since: noon.Add(-age), UID: name}
	}
	for what, x := range map[string]struct {
		do   func(*login.Directory)
		want string // whom "alice" finds
	}{
		"nobody of none":                {func(*login.Directory) {}, ""},
		"the one":                       {func(d *login.Directory) { d.SetUser(user("a", "alice", 1)) }, "a"},
		"not by the name of the object": {func(d *login.Directory) { d.SetUser(user("alice", "a", 1)) }, ""},
		"the older of two": {func(d *login.Directory) {
			d.SetUser(user("a", "alice", 1))
			d.SetUser(user("b", "alice", 2))
		}, "b"},
		"of those of one instant, the first by name": {func(d *login.Directory) {
			d.SetUser(user("b", "alice", 1))
			d.SetUser(user("a", "alice", 1))
			d.SetUser(user("c", "alice", 1))
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
		"one that was made anew counts from then": {func(d *login.Directory) {
			d.SetUser(user("a", "alice", 2))
			d.SetUser(user("b", "alice", 1))
			d.SetUser(user("a", "alice", 0))
		}, "b"},
		"nobody, once all have gone": {func(d *login.Directory) {
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

// naive is a Directory that looks at everything.
type naive struct {
	users   map[string]login.User
	clients map[string]login.Client
}

func (n naive) byUsername(username string) (login.User, bool) {
	var found []login.User
	for _, u := range n.users {
		if u.Username == username {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b login.User) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name)) })
	if len(found) == 0 {
		return login.User{}, false
	}
	return found[0], true
}

func (n naive) byAccountID(id int64) (login.Client, bool) {
	var found []login.Client
	for _, c := range n.clients {
		if id != 0 && c.AccountID == id {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b login.Client) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name)) })
	if len(found) == 0 {
		return login.Client{}, false
	}
	return found[0], true
}

// In whatever order things become known, what is found is as if all were looked at.
func TestTheDirectoryFindsWhatANaiveOneFinds(t *testing.T) {
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 1))
		name := func() string { return fmt.Sprint("n", r.IntN(6)) }
		var d login.Directory
		n := naive{map[string]login.User{}, map[string]login.Client{}}
		for step := range 200 {
			name := name()
			since := noon.Add(time.Duration(r.IntN(3)) * time.Second)
			switch r.IntN(6) {
			case 0, 1:
				u := login.User{Name: name, Username: fmt.Sprint("n", r.IntN(4)), Since: since, UID: fmt.Sprint(step), Suspended: r.IntN(2) == 0}
				if r.IntN(2) == 0 {
					u.Credential = "f"
				}
				n.users[name] = u
				d.SetUser(u)
			case 2:
				delete(n.users, name)
				d.RemoveUser(name)
			case 3, 4:
				c := login.Client{Name: name, AccountID: int64(r.IntN(4)), Since: since, MaxSessions: step}
				n.clients[name] = c
				d.SetClient(c)
			case 5:
				delete(n.clients, name)
				d.RemoveClient(name)
			}
			if got, want := asked(&d), n.asked(); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, got, want)
			}
		}
	}
}

// asked is all that can be asked of a Directory, and what it says.
func asked(d *login.Directory) map[string]any {
	return answers(d.User, d.Client, d.ByUsername, d.ByAccountID, d.StandIns())
}

func (n naive) asked() map[string]any {
	var standIns []string
	for _, name := range slices.Sorted(maps.Keys(n.users)) {
		if n.users[name].Credential != "" {
			standIns = append(standIns, name)
		}
	}
	user := func(name string) (login.User, bool) { u, ok := n.users[name]; return u, ok }
	client := func(name string) (login.Client, bool) { c, ok := n.clients[name]; return c, ok }
	return answers(user, client, n.byUsername, n.byAccountID, standIns)
}

func answers(
	user func(string) (login.User, bool), client func(string) (login.Client, bool),
	byUsername func(string) (login.User, bool), byAccountID func(int64) (login.Client, bool), standIns []string,
) map[string]any {
	said := map[string]any{"stand-ins": fmt.Sprint(standIns)}
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
