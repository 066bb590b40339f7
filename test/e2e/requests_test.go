package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// request is a request of the operator to the API server.
type request struct {
	verb, group, resource string // resource with its subresource, as rights name it
	namespace, name       string
	isMetadataOnly        bool // the response holds no content
	isLabelled            bool // only for objects with the operator's label
	isInitialList         bool // in place of a list: a watch that begins with the existing objects
	isRejected            bool // by RBAC
	isRejectedByPolicy    bool // rejected by config/policy
}

// accessRight is the right that a request needs.
type accessRight struct{ verb, group, resource string }

// requests holds the requests of all operators, in order.
type requests struct {
	mu  sync.Mutex
	all []request
}

// record returns a transport that records the requests of an operator.
func (r *requests) record(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		asked, isResource := parseRequest(req)
		answer, err := next.RoundTrip(req)
		if isResource {
			if err == nil {
				asked.isRejected, asked.isRejectedByPolicy = rejectedBy(answer)
			}
			r.mu.Lock()
			r.all = append(r.all, asked)
			r.mu.Unlock()
		}
		return answer, err
	})
}

// rejectedBy reports whether RBAC or config/policy rejected the request, as opposed to a quota,
// another policy or a terminating namespace.
func rejectedBy(answer *http.Response) (byRBAC, byPolicy bool) {
	if answer.StatusCode != http.StatusForbidden {
		return false, false
	}
	said, err := io.ReadAll(answer.Body)
	answer.Body = io.NopCloser(bytes.NewReader(said))
	byPolicy = hasPolicyRefusal(answer, said)
	return !byPolicy && (err != nil || bytes.Contains(said, []byte("cannot "))), byPolicy
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// mark returns the number of requests until now, for since.
func (r *requests) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// since returns the matching requests after a mark.
func (r *requests) since(mark int, interesting func(request) bool) []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []request
	for _, x := range r.all[mark:] {
		if interesting(x) {
			found = append(found, x)
		}
	}
	return found
}

// inNamespace returns a function that reports whether a request is about a namespace.
func inNamespace(namespace string) func(request) bool {
	return func(r request) bool { return r.namespace == namespace }
}

// parseRequest parses a request as the API server's authorizer does. It returns false for a request
// about no resource.
func parseRequest(req *http.Request) (request, bool) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	var r request
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		r.group, parts = parts[1], parts[3:]
	default:
		return r, false // discovery
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		r.namespace, parts = parts[1], parts[2:]
	}
	r.resource = parts[0]
	if len(parts) > 1 {
		r.name = parts[1]
	}
	if len(parts) > 2 {
		r.resource += "/" + parts[2]
	}
	query := req.URL.Query()
	switch {
	case query.Get("watch") == "true" || query.Get("watch") == "1":
		r.verb = "watch"
	case req.Method == http.MethodGet && r.name == "":
		r.verb = "list"
	case req.Method == http.MethodDelete && r.name == "":
		r.verb = "deletecollection"
	default:
		r.verb = map[string]string{
			http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update",
			http.MethodPatch: "patch", http.MethodDelete: "delete",
		}[req.Method]
	}
	r.isMetadataOnly = slices.ContainsFunc(req.Header.Values("Accept"), func(accept string) bool {
		first, _, _ := strings.Cut(accept, ",")
		return strings.Contains(first, "as=PartialObjectMetadata")
	})
	r.isInitialList = query.Get("sendInitialEvents") == "true"
	r.isLabelled = query.Get("labelSelector") == "apptoken.dev/managed=true"
	return r, true
}
