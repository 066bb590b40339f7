package server

import "net/http"

// Routes returns the method and path of every operation; the method is empty for any.
func Routes(d *Endpoints) []string {
	var all []string
	for _, op := range d.operations() {
		all = append(all, op.method+" "+op.path)
	}
	return all
}

// Routing returns a handler that routes to these methods and paths, and reports the route of each
// request.
func Routing(routes []string, got func(route string, r *http.Request)) http.Handler {
	var all []operation
	for _, route := range routes {
		op := operation{serve: func(_ http.ResponseWriter, r *http.Request) { got(route, r) }}
		for i := range route {
			if route[i] == ' ' {
				op.method, op.path = route[:i], route[i+1:]
			}
		}
		all = append(all, op)
	}
	return newRoutes(all)
}
