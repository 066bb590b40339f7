package password_test

import (
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login/password"
)

// ratio runs two things by turns and compares the medians of what they take. Each is the first of a turn as often as the
// other, or it would always be the same one that meets the garbage collector.
func ratio(runs int, one, other func()) float64 {
	both := []func(){one, other}
	var took [2][]time.Duration
	for n := range 2 * runs {
		i := (n + n/2) % 2 // 0 1 1 0
		began := time.Now()
		both[i]()
		took[i] = append(took[i], time.Since(began))
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	return float64(took[0][runs/2]) / float64(took[1][runs/2])
}

// An answer that comes sooner would say which names are users, and how near a password is. The factor is generous, because
// machines are busy; what it is meant to find, a check that was skipped, is a thousand times as fast.
func TestNoAnswerComesSoonerThanAWrongPassword(t *testing.T) {
	right, wrong := presented(t, "correct horse battery staple"), presented(t, "wrong")
	argon, cryptOf5 := hash(t, vectors(t)[1].Hash), hash(t, vectors(t)[6].Hash)
	type asked struct {
		stored password.Stored
		secret password.Secret
		decoy  bool
	}
	for how, c := range map[string]struct{ one, other asked }{
		"argon2id: an unknown name":                 {asked{argon, right, true}, asked{argon, wrong, false}},
		"argon2id: the right password":              {asked{argon, right, false}, asked{argon, wrong, false}},
		"argon2id: a malformed password":            {asked{argon, password.Take("\x00"), false}, asked{argon, wrong, false}},
		"argon2id: an unknown name by the defaults": {asked{password.Stored{}, right, true}, asked{argon, wrong, false}},
		"bcrypt: an unknown name":                   {asked{cryptOf5, right, true}, asked{cryptOf5, wrong, false}},
		"bcrypt: the right password":                {asked{cryptOf5, right, false}, asked{cryptOf5, wrong, false}},
		"bcrypt: a malformed password":              {asked{cryptOf5, password.Take("\x00"), false}, asked{cryptOf5, wrong, false}},
		"plain: an unknown name":                    {asked{password.Stored{}, right, true}, asked{plain(t, "correct horse battery staple"), wrong, false}},
		"plain: the right password":                 {asked{plain(t, "correct horse battery staple"), right, false}, asked{plain(t, "correct horse battery staple"), wrong, false}},
	} {
		checker := password.NewChecker(password.Options{})
		ask := func(a asked) func() {
			return func() {
				var err error
				if a.decoy {
					err = checker.Decoy(t.Context(), a.stored, a.secret)
				} else {
					_, err = checker.Check(t.Context(), a.stored, a.secret)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		var got float64
		for range 5 {
			if got = ratio(7, ask(c.one), ask(c.other)); got > 0.5 && got < 2 {
				break
			}
		}
		t.Logf("%-45s %.3f", how, got)
		if got <= 0.5 || got >= 2 {
			t.Errorf("%s takes %.2f times what a wrong password takes", how, got)
		}
	}
}
