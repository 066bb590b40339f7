// Package logins measures users who log in, and clients that have logged in: beside the bare hash,
// beside plain clients with the same writes, in a flood of one user, and in a burst.
package logins
