// Package report holds the figures of a run: it rates each beside its limit and its goal, and
// writes them as tables, as JSON and into a page of the documentation.
//
// It does not know how a figure was measured.
package report
