// Package read reads objects from the cache of the operator once it has the operator's own writes.
package read
