// Package password decides whether a presented password is the stored one, at a bounded cost.
//
//	stored as            one check costs                           parsed by
//	PHC argon2id         what m, t and p say, within bounds        ParseHash
//	bcrypt               what its cost says, within bounds         ParseHash
//	plain                what an argon2id with the defaults costs  ParsePlain
//	nothing (the zero    what the defaults cost                    -
//	Stored)
//
// Checks are slow on purpose, so that a stolen hash is worth little. Three things keep an attacker
// from using that slowness against the server. ParseHash rejects a hash whose check would take too
// much. A Checker bounds how many checks run and wait, also those of one name and of one source,
// and lets sources take turns. Limits bounds how often a name or an address fails, and how often a
// name succeeds. The limits are so generous that a program that logs in for each of its jobs is not
// limited.
//
// ParseSecret and ParsePlain turn a password into Unicode's composed form (NFC) before it is
// compared. A hash is compared with the bytes of the composed form. A hash that a tool made from
// decomposed letters therefore matches no password.
//
// The package does not know the users, where a stored text comes from, or what a match is worth.
// Neither a presented nor a stored password can be printed, marshalled or compared with ==. No
// error repeats a part of a password, and no caller can get one back: code outside this package has
// no need for it.
package password
