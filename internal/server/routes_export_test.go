package server

import (
	"net/http"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// Routes returns the method and path of every operation; the method is empty for any.
func Routes(d *Endpoints) []string {
	var all []string
	for _, op := range d.operations() {
		all = append(all, op.Method+" "+op.Path)
	}
	return all
}

// Routing returns a handler that routes to these methods and paths, and reports the route of each
// request.
func Routing(routes []string, got func(route string, r *http.Request)) http.Handler {
	var all []endpoint.Operation
	for _, route := range routes {
		op := endpoint.Operation{Serve: func(_ http.ResponseWriter, r *http.Request) { got(route, r) }}
		for i := range route {
			if route[i] == ' ' {
				op.Method, op.Path = route[:i], route[i+1:]
			}
		}
		all = append(all, op)
	}
	return newRoutes(all)
}
