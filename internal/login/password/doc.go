// Package password decides whether a presented password is the one that is stored, at a bounded price.
//
//	stored as            one check costs                           read by
//	PHC argon2id         what m, t and p say, within bounds        ReadHash
//	bcrypt               what its cost says, within bounds         ReadHash
//	plain                what an argon2id with the defaults costs  ReadPlain
//	nothing (the zero    what the defaults cost                    nobody
//	Stored)
//
// Checks are slow on purpose, so that a stolen hash is worth little. Three things keep the slowness from being used against
// the server: ReadHash refuses a hash whose check would take too much. A Checker bounds how many checks run and wait, of one
// name and of one source too, and lets sources take turns. Limits bounds how often a name or an address fails, and how often a
// name succeeds: so generously that a program that logs in for each of its jobs is not limited.
//
// Passwords are compared as bytes. What looks the same and is spelled otherwise (composed and decomposed letters, say) is
// another password, as it is to the tools that make the hashes.
//
// Who the users are, which name was given, where a stored text was read, what a match is worth and what the caller says to
// whom is unknown here. Neither a presented nor a stored password can be printed, marshalled or compared with ==, no error
// repeats a part of one, and none can be had back: nothing outside this package needs it.
package password
