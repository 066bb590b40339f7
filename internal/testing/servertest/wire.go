package servertest

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// GetRequest returns a GET, with more headers, as a client writes it to a connection.
func GetRequest(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

// PostRequest returns a POST of a body of a media type.
func PostRequest(path, kind, body string, headers ...string) string {
	headers = append(headers, "Content-Type: "+kind, fmt.Sprintf("Content-Length: %d", len(body)))
	return "POST" + strings.TrimPrefix(GetRequest(path, headers...), "GET") + body
}

// ChunkedRequest returns a POST without a Content-Length.
func ChunkedRequest(path, kind, body string) string {
	head := strings.TrimPrefix(GetRequest(path, "Content-Type: "+kind, "Transfer-Encoding: chunked"), "GET")
	return "POST" + head + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// ReviewOf returns a TokenReview with members of its spec.
func ReviewOf(spec string) string {
	return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{` + spec + `}}`
}

// CheckRequestWith returns a CheckRequest with headers, and more in its header map.
func CheckRequestWith(headers map[string]string, more ...*corev3.HeaderValue) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Headers: headers, HeaderMap: &corev3.HeaderMap{Headers: more}},
	}}}
}
