package tokenapi

import (
	"net/http"
	"slices"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// allowAnyCaller returns serve unchanged: an authenticated caller needs no permission.
func allowAnyCaller(serve managementHandler) managementHandler { return serve }

// idempotencyKey is the header that names a request, so that a repetition is a retry.
var idempotencyKey = []endpoint.Param{{Name: "Idempotency-Key", Text: "Any text of 1 to 255 bytes. For five minutes, the same request of the same caller with the same text is a retry"}}

// collection describes the tokens of a client, or those of the calling user.
type collection struct {
	path, suffix, tag string
	params            []endpoint.Param                          // in the path
	allow             func(managementHandler) managementHandler // for callers that list, get and delete tokens
	wanted            createTokenBody                           // an example, as are the next two
	view              tokenView
	issued            issuedTokenResponse
}

// Operations returns the operations on application tokens: of the calling token, of a client, and
// of the calling user.
func Operations(h *Handlers) []endpoint.Operation {
	rotateCaller := endpoint.Operation{Method: http.MethodPost, Path: "/application-tokens/v1/rotate", Serve: h.rotateCallingToken, Doc: endpoint.Description{
		Id: "rotateOwn", Tag: endpoint.TagClient, Summary: "Rotate the calling token",
		Text:    "For the holder of an application token, which needs no permission. The client may forbid it. A holder rotates a token at most once in its minOverlap, and the new version expires no later than the calling one.",
		Headers: idempotencyKey, Callers: endpoint.CallersWithToken, Response: exampleMade, IsDeferred: true, ErrorStatuses: []int{400, 401, 403, 404, 409, 413, 415, 429, 503},
	}}
	all := endpoint.WithAdminPrefix(rotateCaller)
	for _, of := range []collection{
		{"/application-tokens/v1/clients/{client}/application-token", "OfClient", endpoint.TagClient, []endpoint.Param{{Name: "client", Text: "The name of the client"}}, requireTokensPermission, exampleWanted, exampleView, exampleMade},
		{"/application-tokens/v1/application-token", "OfUser", endpoint.TagUser, nil, allowAnyCaller, exampleOfUserWanted, exampleOfUserView, exampleOfUserMade},
	} {
		all = append(all, endpoint.WithAdminPrefix(issueOperations(h, of)...)...)
		all = append(all, endpoint.WithAdminPrefix(readOperations(h, of)...)...)
	}
	return all
}

// onePath returns the path of one token, and its parameters.
func (c collection) onePath() (string, []endpoint.Param) {
	return c.path + "/{name}", append(slices.Clone(c.params), endpoint.Param{Name: "name", Text: "The name of the token"})
}

// readOperations returns the operations whose responses have no token. They are listed after
// issueOperations, since Allow lists methods in the order of operations.
func readOperations(h *Handlers, of collection) []endpoint.Operation {
	one, named := of.onePath()
	statuses := []int{400, 401, 403, 404, 503}
	return []endpoint.Operation{
		{Method: http.MethodGet, Path: of.path, Serve: h.authenticateManagement(of.allow(h.listTokens)), Doc: endpoint.Description{
			Id: "list" + of.suffix, Tag: of.tag, Summary: "List application tokens",
			Text: "The response has no token, only what describes it.",
			Path: of.params, Callers: endpoint.CallersWithEither, Response: tokenListResponse{Data: []tokenView{of.view}}, ErrorStatuses: statuses,
		}},
		{Method: http.MethodGet, Path: one, Serve: h.authenticateManagement(of.allow(h.getToken)), Doc: endpoint.Description{
			Id: "get" + of.suffix, Tag: of.tag, Summary: "Get the description of an application token",
			Text: "The response does not have the token itself, which cannot be shown again.",
			Path: named, Callers: endpoint.CallersWithEither, Response: tokenResponse{Data: of.view}, ErrorStatuses: statuses,
		}},
		{Method: http.MethodPatch, Path: one, Serve: h.authenticateManagement(requireTokensPermission(h.patchToken)), Doc: endpoint.Description{
			Id: "change" + of.suffix, Tag: of.tag, Summary: "Change, suspend or reactivate an application token",
			Text: "The token itself stays the same. Absent members stay unchanged. A token that was suspended in Kubernetes can be reactivated only there.",
			Path: named, Body: exampleChange, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersWithEither, Response: tokenResponse{Data: of.view}, ErrorStatuses: statuses,
		}},
		{Method: http.MethodDelete, Path: one, Serve: h.authenticateManagement(of.allow(h.deleteToken)), Doc: endpoint.Description{
			Id: "revoke" + of.suffix, Tag: of.tag, Summary: "Revoke an application token",
			Text: "Every version of the token ends at once, for good.",
			Path: named, Callers: endpoint.CallersWithEither, Response: revoked, ErrorStatuses: statuses,
		}},
	}
}

// issueOperations returns the operations that make a version, which the response can have.
func issueOperations(h *Handlers, of collection) []endpoint.Operation {
	one, named := of.onePath()
	statuses := []int{400, 401, 403, 404, 409, 503}
	return []endpoint.Operation{
		{Method: http.MethodPut, Path: one, Serve: h.authenticateManagement(requireTokensPermission(h.putToken)), Doc: endpoint.Description{
			Id: "create" + of.suffix, Tag: of.tag, Summary: "Create an application token",
			Text: "The token is in the response and nowhere else. A token of a client has the roles and permissions in the body; a token of a user has those of the user, and the body must have none. A caller cannot give more than it holds.",
			Path: named, Body: of.wanted, BodyEncodings: endpoint.AnyEncoding, IsBodyOptional: true, Callers: endpoint.CallersWithEither, Response: of.issued, ErrorStatuses: statuses,
		}},
		{Method: http.MethodPost, Path: one + "/clone", Serve: h.authenticateManagement(requireTokensPermission(h.cloneToken)), Doc: endpoint.Description{
			Id: "clone" + of.suffix, Tag: of.tag, Summary: "Clone an application token",
			Text: "The new token has the same grants and another name.",
			Path: named, Headers: idempotencyKey, Body: cloneTokenBody{Name: "ci-deploy-2"}, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersWithEither, Response: of.issued, ErrorStatuses: statuses,
		}},
		{Method: http.MethodPost, Path: one + "/rotate", Serve: h.authenticateManagement(h.rotateToken), Doc: endpoint.Description{
			Id: "rotate" + of.suffix, Tag: of.tag, Summary: "Rotate an application token",
			Text: "The token gets a new version, and the previous one stays valid for the overlap. For a token that rotates itself, the rules of rotateOwn apply.",
			Path: named, Headers: idempotencyKey, Callers: endpoint.CallersWithEither, Response: of.issued, IsDeferred: true, ErrorStatuses: append([]int{413, 415}, statuses...),
		}},
	}
}
