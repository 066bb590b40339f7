// Package client reconciles Clients: their state, and how many tokens they have.
package client
