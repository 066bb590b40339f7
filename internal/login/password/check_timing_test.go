package password_test

import (
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login/password"
)

// durationPair holds the durations of two alternating functions so far.
type durationPair [2][]time.Duration

// run runs both functions so many times more, and returns the ratio of the medians of all
// durations. Each function is first equally often; otherwise always the same one would meet the
// garbage collector.
func (r *durationPair) run(runs int, both [2]func()) float64 {
	for n := range 2 * runs {
		i := (n + n/2) % 2 // 0 1 1 0
		began := time.Now()
		both[i]()
		r[i] = append(r[i], time.Since(began))
	}
	slices.Sort(r[0])
	slices.Sort(r[1])
	return float64(r[0][len(r[0])/2]) / float64(r[1][len(r[1])/2])
}

// A faster response would reveal which names are users, and how close a password is. The factor is
// generous, because machines are busy. The test is meant to find a skipped check, which is a
// thousand times as fast.
func TestCheck_AllOutcomesTakeAsLong(t *testing.T) {
	right, wrong := parseSecret(t, "correct horse battery staple"), parseSecret(t, "wrong")
	argon, cryptOf5 := hash(t, loadVectors(t)[1].Hash), hash(t, loadVectors(t)[6].Hash)
	type asked struct {
		stored password.Stored
		secret password.Secret
	}
	for how, c := range map[string]struct{ one, other asked }{
		"argon2id: an unknown name":                 {asked{argon, right}, asked{argon, wrong}},
		"argon2id: the right password":              {asked{argon, right}, asked{argon, wrong}},
		"argon2id: a malformed password":            {asked{argon, password.NewSecret("\x00")}, asked{argon, wrong}},
		"argon2id: an unknown name by the defaults": {asked{password.Stored{}, right}, asked{argon, wrong}},
		"bcrypt: an unknown name":                   {asked{cryptOf5, right}, asked{cryptOf5, wrong}},
		"bcrypt: the right password":                {asked{cryptOf5, right}, asked{cryptOf5, wrong}},
		"bcrypt: a malformed password":              {asked{cryptOf5, password.NewSecret("\x00")}, asked{cryptOf5, wrong}},
		"plain: an unknown name":                    {asked{password.Stored{}, right}, asked{plain(t, "correct horse battery staple"), wrong}},
		"plain: the right password":                 {asked{plain(t, "correct horse battery staple"), right}, asked{plain(t, "correct horse battery staple"), wrong}},
	} {
		checker := password.NewChecker(password.Options{})
		ask := func(a asked) func() {
			return func() {
				if _, err := checker.Check(t.Context(), password.Check{Stored: a.stored, Presented: a.secret}); err != nil {
					t.Fatal(err)
				}
			}
		}
		var took durationPair
		got := 0.0
		for tries := 0; tries < 10 && (got <= 0.5 || got >= 2); tries++ {
			got = took.run(5, [2]func(){ask(c.one), ask(c.other)})
		}
		t.Logf("%-45s %.3f", how, got)
		if got <= 0.5 || got >= 2 {
			t.Errorf("%s takes %.2f times what a wrong password takes", how, got)
		}
	}
}
