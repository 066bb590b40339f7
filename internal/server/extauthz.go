package server

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
	"github.com/apptoken/operator/internal/verify"
)

// Names in the context extensions of a route, by which Envoy says what is required there. Several are separated by commas.
const (
	extensionPrefix     = "apptoken."
	extensionPermission = "apptoken.permission"
	extensionRole       = "apptoken.role"
	extensionClient     = "apptoken.client"
	extensionCredential = "apptoken.credential"
	removeCredential    = "remove" // its only value: the credential does not get to the upstream
)

// maxCheck is how many bytes a check may have: headers, and no body.
const maxCheck = 128 << 10

// extAuthz answers Envoy (envoy.service.auth.v3.Authorization).
type extAuthz struct {
	authv3.UnimplementedAuthorizationServer
	*Doors
}

// Check decides about a request that Envoy holds back.
func (d extAuthz) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	attributes := req.GetAttributes()
	route := attributes.GetContextExtensions()
	if misspelt(route) {
		d.Audit.Limited(audit.Line{
			Event: audit.EndpointMisconfigured, Endpoint: doors[doorExtAuthz], Source: peerOf(gatewayOf(ctx)),
			Reason: "a context extension that begins with " + extensionPrefix + " is not known, or its value is not",
		})
		return refuse(codes.PermissionDenied, http.StatusForbidden, `{"error":"server_error"}`, ""), nil
	}
	facts := verify.Facts{
		Permissions: listed(route, extensionPermission),
		Roles:       listed(route, extensionRole),
		Clients:     listed(route, extensionClient),
	}
	headers := checkHeaders(attributes.GetRequest().GetHttp())
	p := presentedIn(headers)
	facts.Session = p.session
	who, verdict := d.ask(ctx, doorExtAuthz, p.text, facts, d.originOfCheck(ctx, attributes))
	switch {
	case verdict == verify.Good:
		return pass(who, headers, route[extensionCredential] == removeCredential), nil
	case verdict == verify.Stale:
		return refuse(codes.Unavailable, http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`, ""), nil
	case verdict.Forbidden():
		return refuse(codes.PermissionDenied, http.StatusForbidden, `{"error":"insufficient_scope"}`, insufficient[0]), nil
	case p.text == "" && !p.many:
		return refuse(codes.Unauthenticated, http.StatusUnauthorized, `{"error":"unauthorized"}`, challenge[0]), nil
	default:
		return refuse(codes.Unauthenticated, http.StatusUnauthorized, `{"error":"invalid_token"}`, invalid[0]), nil
	}
}

// misspelt says whether an extension means to say something to us and does not. To ignore it could be to ask for less than
// is meant. It is not repeated, since whoever can call can write anything there.
func misspelt(extensions map[string]string) bool {
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

// checkHeaders are the headers of a checked request, by their canonical names. Envoy joins those of
// one name by commas, or where it is told to sends them one by one.
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

// gatewayOf returns the address and port of the gateway that calls.
func gatewayOf(ctx context.Context) string {
	gateway, ok := peer.FromContext(ctx)
	if !ok || gateway.Addr == nil {
		return ""
	}
	return gateway.Addr.String()
}

// originOfCheck is where Envoy was called from, if Envoy is one of the proxies that are trusted.
func (d extAuthz) originOfCheck(ctx context.Context, a *authv3.AttributeContext) origin {
	gateway := peerOf(gatewayOf(ctx))
	o := origin{peer: gateway, limited: gateway}
	switch {
	case !gateway.IsValid():
		o.unknown = noPeer
		return o
	case !trusts(d.Trusted, gateway):
		o.unknown = untrustedPeer
		return o
	}
	said, err := netip.ParseAddr(a.GetSource().GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		o.unknown = notAnAddress
		return o
	}
	o.source = said.Unmap().WithZone("")
	o.limited = o.source
	return o
}

// listed reads what an extension requires. One that is there and empty requires what nobody has: it is a mistake.
func listed(extensions map[string]string, name string) []string {
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

// pass lets a request through with our word about who it is, in place of whatever it says of itself.
func pass(who verify.Identity, request http.Header, dropCredential bool) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{}
	said := map[string]bool{}
	remove := func(name string) {
		if !said[name] {
			said[name] = true
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	for i, value := range valuesOf(who) {
		if name := identityHeaders[i]; value == "" {
			remove(name)
		} else {
			said[name] = true
			ok.Headers = append(ok.Headers, header(name, value))
		}
	}
	for name := range request {
		// To some upstreams x_apptoken_user is X-Apptoken-User.
		if strings.HasPrefix(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")), headerPrefix) {
			remove(name)
		}
	}
	if dropCredential {
		for _, name := range credentialHeaders {
			remove(name)
		}
		switch rest, there := withoutCredential(request["Cookie"]); {
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

func refuse(code codes.Code, status typev3.StatusCode, body, challenge string) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: status},
		Headers: []*corev3.HeaderValueOption{ // and not that of TLS, which is the gateway's to say
			header("Content-Type", isJSON[0]), header("Cache-Control", noStore[0]),
			header("X-Content-Type-Options", nosniff[0]), header("Content-Security-Policy", noContent[0]),
		},
		Body: body + "\n",
	}
	if challenge != "" {
		denied.Headers = append(denied.Headers, header("WWW-Authenticate", challenge))
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(code)}, //nolint:gosec // codes are few
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

// header sets a header in place of all of that name that are there.
func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
