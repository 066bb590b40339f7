package login

import "golang.org/x/text/unicode/norm"

// NormalizeUsername returns a username in the form in which it is compared: Unicode's composed form
// (NFC, RFC 8265, section 3.4.2). One keyboard writes ü as one character, another as u and a
// combining diaeresis. Readers cannot distinguish the two.
func NormalizeUsername(text string) string { return norm.NFC.String(text) }
