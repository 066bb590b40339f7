// Package gc bounds the rate at which the reconcilers garbage-collect records.
package gc
