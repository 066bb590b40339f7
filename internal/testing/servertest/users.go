package servertest

import (
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
)

// StartTime is the time of a new Clock.
var StartTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// PasswordMark is part of every password, and must show up nowhere.
const PasswordMark = "MARKED"

// Passwords are the users' passwords, by the name of the User.
var Passwords = map[string]string{
	"alice": "alice's pass:word, " + PasswordMark, "bob": "bob's, " + PasswordMark, "carol": "carol's, " + PasswordMark, "dave": "dave's, " + PasswordMark, "erin": "erin's ü, " + PasswordMark,
}

// Usernames are the names that users log in with.
var Usernames = map[string]string{"alice": "alice@example.com", "bob": "bob", "carol": "carol", "dave": "dave", "erin": "erin ü"}

// accounts are the users' accounts, the default first. Bob is suspended, and Dave's password is
// stored in plain text.
var accounts = map[string][]string{
	"alice": {"acme", "umbrella", "hushed", "frozen"}, "bob": {"acme"}, "dave": {"acme"}, "erin": {"umbrella"},
}

// Roles are the roles of the clients.
var Roles = map[string][]grant.Role{
	"acme": {
		{Name: "developer", Permissions: []string{"sec.application-token.*"}}, {Name: "client~primary", Permissions: []string{"search.*", "sec.continuous.rest"}},
		{Name: "reader", Permissions: []string{"search.query"}}, {Name: "revoker", Permissions: []string{"sec.token.revoke"}},
	},
	"umbrella": {{Name: "revoker", Permissions: []string{"sec.token.revoke"}}, {Name: "developer", Permissions: []string{"sec.application-token.*"}}, {Name: "reader", Permissions: []string{"search.query"}}},
	"hushed":   {{Name: "reader", Permissions: []string{"search.query"}}},
	"frozen":   {{Name: "reader", Permissions: []string{"search.query"}}},
}

// accountRoles are the roles of the users at each client.
var accountRoles = map[string]map[string][]string{
	"alice": {"acme": {"developer", "client~primary"}, "umbrella": {"reader"}, "hushed": {"reader"}, "frozen": {"reader"}},
	"bob":   {"acme": {"developer"}}, "carol": {}, "dave": {"acme": {"reader"}}, "erin": {"umbrella": {"developer"}},
}

// clients are the clients that users log in at.
var clients = []login.Client{
	{Name: "acme", AccountID: 1001, OpenPolicy: login.OpenExpiring}, {Name: "umbrella", AccountID: 2002, OpenPolicy: login.OpenAllowed, LoginLifetime: 4 * 24 * time.Hour},
	{Name: "hushed", AccountID: 3003, OpenPolicy: login.OpenForbidden}, {Name: "frozen", AccountID: 4004, Suspended: true},
}

// storedPasswords returns the stored passwords. Hashing takes a while, so it is done once.
var storedPasswords = sync.OnceValue(func() map[string]password.Stored {
	all := map[string]password.Stored{}
	for name, text := range Passwords {
		hash, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
		if err != nil {
			panic(err)
		}
		if all[name], err = password.ParseHash(string(hash)); err != nil {
			panic(err)
		}
	}
	var err error
	if all["dave"], err = password.ParsePlain(Passwords["dave"]); err != nil {
		panic(err)
	}
	return all
})
