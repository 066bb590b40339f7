// Package logging writes the operator's log. It decides which lines are logged at which level, and
// removes tokens from every line.
//
//	logger --conflict core--> expected conflicts are debug lines --redactor--> no token --> stderr
//
// The package does not know what is logged: the redactor is the last defense, whichever error or
// object holds a token.
package logging
