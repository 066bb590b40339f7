// Package token says what a token is: how one is made, how it is spelled, how
// it is recognised and what may be remembered of it.
//
//	ata_wK3…43 base62 digits…x7Qd2MSLnt
//	│   │                        └ checksum: CRC-32 (IEEE) of all before it, 6 digits
//	│   └ 256 random bits, most significant digit first, padded with '0'
//	└ kind: ata, atu, atl, ats, ato or atr
//
// A token is in one of three forms, and only the first can do anything:
//
//	Token ──Digest──> Digest ──RecordName──> "at-…"
//	(the plaintext)   (what a record keeps)  (what people see)
//
// There is no way back. Token cannot be printed, marshalled or compared with
// ==; Reveal is the only door to its text, so that its callers can be counted.
//
// What a token is good for, whose it is and whether it lives is unknown here:
// a well-formed token has proved nothing but that it is not a typing error.
package token
