// Package password decides whether a presented password is the one that is stored, at a bounded price.
//
//	stored as            one check costs                           read by
//	PHC argon2id         what m, t and p say, within bounds        ReadHash
//	bcrypt               what its cost says, within bounds         ReadHash
//	plain                what an argon2id with the defaults costs  ReadPlain
//	nothing (the zero    what the defaults cost                    nobody
//	Stored)
//
// Checks are slow on purpose, so that a stolen hash is worth little. Three things keep the slowness from being turned on us:
// ReadHash refuses a hash whose check would take too much, a Checker runs so many checks at once and lets so many wait, and
// Limits says how often a name or an address may fail. A password that is right counts for nothing there: a health probe that
// logs in every second is never limited.
//
// Passwords are compared as bytes. What looks the same and is spelled otherwise (composed and decomposed letters, say) is
// another password, as it is to the tools that make the hashes.
//
// Who the users are, which name was given, where a stored text was read, what a match is worth and what the caller says to
// whom is unknown here. Neither a presented nor a stored password can be printed, marshalled or compared with ==, no error
// repeats a part of one, and none can be had back: nothing outside this package needs it.
package password
