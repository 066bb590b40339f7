// Package exchanges holds the requests that the documentation of the four systems shows, and those
// that public programs send to them. Each has the answer that its client relies on, and the tests
// send it to the real handlers. A row states facts only: methods, paths, fields, headers, statuses.
package exchanges
