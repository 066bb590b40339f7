// Package start measures how long the operator takes to be ready with many records.
package start
