// Package apierr classifies errors of the API server.
package apierr
