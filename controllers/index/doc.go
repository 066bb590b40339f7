// Package index holds the indexes of the cache by which the reconcilers and the management API list
// objects.
package index
