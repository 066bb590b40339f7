// Package replicas measures how long a change takes to reach every replica, and how long rotations
// pause when another replica becomes the leader.
package replicas
