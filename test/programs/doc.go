// Package programs skips or fails tests whose external programs are not installed. It does not
// know what a test does with them.
package programs
