// Package token defines what a token is: how it is made, how it is spelled, how it is recognised
// and what may be stored of it.
//
//	ata_wK3…43 base62 digits…x7Qd2MSLnt
//	│   │                        └ checksum: CRC-32 (IEEE) of all before it, 6 digits
//	│   └ 256 random bits, most significant digit first, padded with '0'
//	└ kind: ata, atu, atl, ats, ato or atr
//
// A token is in one of three forms, and only the first is a credential:
//
//	Token ──Digest──> Digest ──RecordName──> "at-…"
//	(the plaintext)   (what a record keeps)  (what users see)
//
// There is no way back. Token cannot be printed, marshalled or compared with ==. Reveal is the only
// access to its text, so that its callers can be counted.
//
// The package does not know what a token is valid for, who owns it, or whether it is revoked. A
// well-formed token has proved only that it has no typing error.
package token
