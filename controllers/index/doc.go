// Package index adds the indexes of the cache by which reconcilers list objects.
package index
