// Package cors decides which origins' pages may call the operator from a browser, by the list that
// an administrator configures.
//
// It parses that list and compares origins with it. It knows nothing of requests, and sets no
// header. An origin is compared as text, label by label: browsers write each origin in one way only
// (RFC 6454, section 6.2), so an entry that a browser would write differently is rejected, and the
// error says how to write it.
package cors
