// Package watch holds the predicates, event handlers and priorities that the controllers share.
package watch
