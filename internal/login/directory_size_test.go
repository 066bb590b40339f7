package login_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
)

// manyUsers returns many users in no particular order, as a watch reports them.
func manyUsers(n int) []login.User {
	users := make([]login.User, n)
	for i := range users {
		name := fmt.Sprintf("user-%d", i*7919%n)
		users[i] = login.User{Name: name, Username: name + "@example.com", UID: name, CreatedAt: noon.Add(time.Duration(i) * time.Second)}
	}
	return users
}

// When an operator starts, it gets each user more than once: first without the password, which
// comes later.
func TestDirectory_SetUserCopiesNoOtherUsers(t *testing.T) {
	const most = 4 << 10 // bytes for each; a list of all names takes 160,000
	users := manyUsers(10_000)
	var d login.Directory
	for _, step := range []struct{ name, credential string }{
		{"at first sight", ""}, {"again", ""}, {"with a password", "one"}, {"with the same", "one"}, {"with another", "two"}, {"without", ""},
	} {
		for i := range users {
			users[i].Credential = step.credential
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, u := range users {
			d.SetUser(u)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / uint64(len(users)); each > most {
			t.Errorf("%s: %d bytes for each of %d users, want %d at most", step.name, each, len(users), most)
		}
	}
	if left := d.Decoys(); len(left) > 0 {
		t.Errorf("%d users without a password stand in for others", len(left))
	}
}

func BenchmarkDirectory_SetUser50000(b *testing.B) {
	users := manyUsers(50_000)
	for b.Loop() {
		var d login.Directory
		for _, credential := range []string{"", "one", "one"} {
			for _, u := range users {
				u.Credential = credential
				d.SetUser(u)
			}
		}
	}
}
