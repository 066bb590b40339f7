package authz

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/verify"
)

// Keys in the context extensions of an Envoy route, which hold the requirements of the route.
// Values are separated by commas.
const (
	extensionPrefix     = "apptoken."
	extensionPermission = "apptoken.permission"
	extensionRole       = "apptoken.role"
	extensionClient     = "apptoken.client"
	extensionCredential = "apptoken.credential"
	// removeCredential is the only value: Envoy drops the credential before the upstream.
	removeCredential = "remove"
)

// ExtAuthz implements envoy.service.auth.v3.Authorization.
type ExtAuthz struct {
	authv3.UnimplementedAuthorizationServer
	*endpoint.Base
}

// Check decides whether Envoy may forward a request.
func (e ExtAuthz) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	attributes := req.GetAttributes()
	route := attributes.GetContextExtensions()
	if hasUnknownExtension(route) {
		e.Audit.WriteLimited(audit.Line{
			Event: audit.EndpointMisconfigured, Endpoint: endpoint.Names[endpoint.ExtAuthz], Source: endpoint.PeerOf(GatewayAddress(ctx)),
			Reason: "a context extension that begins with " + extensionPrefix + " is unknown, or its value is",
		})
		return denyResponse(codes.PermissionDenied, refusal{status: http.StatusForbidden, code: "server_error"}), nil
	}
	facts := verify.Facts{
		Permissions: extensionValues(route, extensionPermission),
		Roles:       extensionValues(route, extensionRole),
		Clients:     extensionValues(route, extensionClient),
	}
	request := attributes.GetRequest().GetHttp()
	headers, drops := checkHeaders(request), route[extensionCredential] == removeCredential
	if e.PassPreflights && passesPreflight(e.Trusted, endpoint.PeerOf(GatewayAddress(ctx)), request.GetMethod(), headers) {
		return allowResponse(noIdentity, headers, drops), nil
	}
	_, query, _ := strings.Cut(request.GetPath(), "?")
	g := gateway{e.Base, endpoint.ExtAuthz}
	asked := heldRequest{
		Credentials: endpoint.CredentialsInHeadersAndCookies(headers), facts: facts, from: e.originOfCheck(ctx, attributes),
		header: headers, host: request.GetHost(), query: query,
	}
	d := g.decide(ctx, &asked)
	if d.verdict == verify.Valid {
		return allowResponse(identityHeaderValues(d.who), headers, drops), nil
	}
	refused := g.refuse(&asked, d)
	code := map[int]codes.Code{http.StatusServiceUnavailable: codes.Unavailable, http.StatusForbidden: codes.PermissionDenied}[refused.status]
	if code == codes.OK {
		code = codes.Unauthenticated
	}
	return denyResponse(code, refused), nil
}

// hasUnknownExtension reports whether an extension with the operator's prefix is unknown or has an
// unknown value. To ignore such an extension could be to require less than its author meant. The
// extension is not repeated in responses or logs: every caller of the gRPC port can write arbitrary
// text there.
func hasUnknownExtension(extensions map[string]string) bool {
	for name, value := range extensions {
		switch {
		case !strings.HasPrefix(name, extensionPrefix), name == extensionPermission, name == extensionRole, name == extensionClient:
		case name == extensionCredential && value == removeCredential:
		default:
			return true
		}
	}
	return false
}

// checkHeaders returns the headers of a checked request by their canonical names. Envoy joins
// headers of one name with commas, or sends them one by one if it is configured so.
func checkHeaders(request *authv3.AttributeContext_HttpRequest) http.Header {
	h := http.Header{}
	for name, value := range request.GetHeaders() {
		h.Add(name, value)
	}
	for _, v := range request.GetHeaderMap().GetHeaders() {
		text := v.GetValue()
		if raw := v.GetRawValue(); len(raw) > 0 {
			text = string(raw)
		}
		h.Add(v.GetKey(), text)
	}
	return h
}

// GatewayAddress returns the address and port of the calling gateway.
func GatewayAddress(ctx context.Context) string {
	gateway, ok := peer.FromContext(ctx)
	if !ok || gateway.Addr == nil {
		return ""
	}
	return gateway.Addr.String()
}

// originOfCheck returns the address from which Envoy was called, if Envoy is a trusted proxy.
func (e ExtAuthz) originOfCheck(ctx context.Context, a *authv3.AttributeContext) endpoint.Origin {
	gateway := endpoint.PeerOf(GatewayAddress(ctx))
	o := endpoint.Origin{Peer: gateway, LimitAddress: gateway}
	switch {
	case !gateway.IsValid():
		o.Unknown = endpoint.NoPeer
		return o
	case !endpoint.ContainsAddress(e.Trusted, gateway):
		o.Unknown = endpoint.UntrustedPeer
		return o
	}
	said, err := netip.ParseAddr(a.GetSource().GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		o.Unknown = endpoint.NotAnAddress
		return o
	}
	o.Source = said.Unmap().WithZone("")
	o.LimitAddress = o.Source
	return o
}

// extensionValues returns the values that an extension requires. An extension that is present and
// empty is a mistake: it requires the empty value, which no credential has.
func extensionValues(extensions map[string]string, name string) []string {
	text, there := extensions[name]
	if !there {
		return nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// allowResponse allows a request. It replaces identity headers of the request with those of the
// verified identity, so that a caller cannot forge them.
func allowResponse(values [len(identityHeaders)]string, request http.Header, dropCredential bool) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{}
	said := map[string]bool{}
	remove := func(name string) {
		if !said[name] {
			said[name] = true
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	for i, value := range values {
		if name := identityHeaders[i]; value == "" {
			remove(name)
		} else {
			said[name] = true
			ok.Headers = append(ok.Headers, header(name, value))
		}
	}
	for name := range request {
		// Some upstreams treat x_apptoken_user as X-Apptoken-User.
		if strings.HasPrefix(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")), headerPrefix) {
			remove(name)
		}
	}
	if dropCredential {
		for _, name := range endpoint.CredentialHeaders {
			remove(name)
		}
		switch rest, there := endpoint.CookiesWithoutCredential(request["Cookie"]); {
		case there && rest == "":
			remove("Cookie")
		case there:
			ok.Headers = append(ok.Headers, header("Cookie", rest))
		}
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// denyResponse denies a request.
func denyResponse(code codes.Code, why refusal) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(why.status)}, //nolint:gosec // statuses are small
		// Strict-Transport-Security is missing: the gateway terminates TLS and may set it.
		Headers: []*corev3.HeaderValueOption{
			header("Content-Type", endpoint.ContentTypeJSON[0]), header("Cache-Control", endpoint.NoStore[0]),
			header("X-Content-Type-Options", endpoint.Nosniff[0]), header("Content-Security-Policy", endpoint.ContentSecurityPolicy[0]),
		},
		Body: `{"error":"` + why.code + `"}` + "\n",
	}
	// Envoy removes the headers of these names, and then adds each of those in the response.
	for _, challenge := range why.challenges {
		denied.Headers = append(denied.Headers, header("WWW-Authenticate", challenge))
	}
	if why.retryAfter != "" {
		denied.Headers = append(denied.Headers, header("Retry-After", why.retryAfter))
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(code)}, //nolint:gosec // gRPC codes are small
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

// header sets a header and overwrites all headers of that name.
func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
