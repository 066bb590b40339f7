package login

import "golang.org/x/text/unicode/norm"

// NormalizeUsername returns a username as it is compared: in Unicode's composed form (NFC, RFC 8265, section 3.4.2). One
// keyboard writes ü as one character, another as u and two dots; a reader cannot tell them apart.
func NormalizeUsername(text string) string { return norm.NFC.String(text) }
