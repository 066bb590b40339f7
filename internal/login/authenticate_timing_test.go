package login_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Threats row 27: the time of a rejection does not reveal whether a user has the name. The factor
// is generous, because machines are busy. A check that was skipped, or one of another cost, is far
// beyond it.
func TestAuthenticate_UnknownNameTakesAsLong(t *testing.T) {
	const cost = 6 // a few milliseconds; a decoy with the argon2id defaults takes several times as long
	h, err := bcrypt.GenerateFromPassword([]byte(rightPassword), cost)
	if err != nil {
		t.Fatal(err)
	}
	w := newFixture(t)
	for _, name := range []string{"alice", "bob"} {
		u := w.user(name, "acme")
		u.Password = parseHash(t, string(h))
		w.directory.SetUser(u)
	}
	suspended := w.user("suspended", "acme")
	suspended.Suspended = true
	suspended.Credential = ""
	w.directory.SetUser(suspended)
	s := w.newReplica(nil)
	names := 0
	tries := map[string]func() error{
		"a wrong password": func() error { return s.attempt("alice", "wrong") },
		"an unknown name": func() error {
			names++
			return s.attempt(fmt.Sprint("name ", names), "wrong")
		},
		"a suspended user": func() error { return s.attempt("suspended", rightPassword) },
	}
	took := map[string][]time.Duration{}
	ratio := func(what string) float64 {
		median := func(what string) float64 {
			slices.Sort(took[what])
			return float64(took[what][len(took[what])/2])
		}
		return median(what) / median("a wrong password")
	}
	off := func() (what []string) {
		for name := range tries {
			if r := ratio(name); r <= 0.5 || r >= 2 {
				what = append(what, fmt.Sprintf("%s takes %.2f times what a wrong password takes", name, r))
			}
		}
		return what
	}
	for range 10 {
		for range 5 {
			for name, try := range tries {
				w.clock.advance(time.Hour) // no limit applies
				began := time.Now()
				wantDenied(t, name, try())
				took[name] = append(took[name], time.Since(began))
			}
		}
		if len(off()) == 0 {
			break
		}
	}
	for _, what := range off() {
		t.Error(what)
	}
}
