package tokenapi

import (
	"net/http"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// allowAnyCaller returns serve unchanged: an authenticated caller needs no permission.
func allowAnyCaller(serve managementHandler) managementHandler { return serve }

// Operations returns the operations on application tokens: of the calling user, and of a
// client.
func Operations(h *Handlers) []endpoint.Operation {
	key := []endpoint.Param{{Name: "Idempotency-Key", Text: "Any text of 1 to 255 bytes. For five minutes, the same request of the same caller with the same text is a retry"}}
	rotateCaller := endpoint.Operation{Method: http.MethodPost, Path: "/application-tokens/v1/rotate", Serve: h.rotateCallingToken, Doc: endpoint.Description{
		Id: "rotateOwn", Tag: endpoint.TagClient, Summary: "Rotate the calling token",
		Text:    "For the holder of an application token, which needs no permission. The client may forbid it. A holder rotates a token at most once in its minOverlap, and the new version expires no later than the calling one.",
		Headers: key, Callers: endpoint.CallersWithToken, Response: exampleMade, IsDeferred: true, ErrorStatuses: []int{400, 401, 403, 404, 409, 413, 415, 429, 503},
	}}
	all := endpoint.WithAdminPrefix(rotateCaller)
	for _, of := range []struct {
		at, suffix, tag string
		path            []endpoint.Param
		lists           func(managementHandler) managementHandler // who may list, get and delete tokens
		wanted          createTokenBody                           // an example, as are the next two
		view            tokenView
		issuedKeys      issuedTokenResponse
	}{
		{"/application-tokens/v1/clients/{client}/application-token", "OfClient", endpoint.TagClient, []endpoint.Param{{Name: "client", Text: "The name of the client"}}, requireTokensPermission, exampleWanted, exampleView, exampleMade},
		{"/application-tokens/v1/application-token", "OfUser", endpoint.TagUser, nil, allowAnyCaller, exampleOfUserWanted, exampleOfUserView, exampleOfUserMade},
	} {
		one := of.at + "/{name}"
		named := append(append([]endpoint.Param{}, of.path...), endpoint.Param{Name: "name", Text: "The name of the token"})
		common := []int{400, 401, 403, 404, 503}
		all = append(all, endpoint.WithAdminPrefix(
			endpoint.Operation{Method: http.MethodGet, Path: of.at, Serve: h.authenticateManagement(of.lists(h.listTokens)), Doc: endpoint.Description{
				Id: "list" + of.suffix, Tag: of.tag, Summary: "List application tokens",
				Text: "The response has no token, only what describes it.",
				Path: of.path, Callers: endpoint.CallersWithEither, Response: tokenListResponse{[]tokenView{of.view}}, ErrorStatuses: []int{400, 401, 403, 404, 503},
			}},
			endpoint.Operation{Method: http.MethodPut, Path: one, Serve: h.authenticateManagement(requireTokensPermission(h.putToken)), Doc: endpoint.Description{
				Id: "create" + of.suffix, Tag: of.tag, Summary: "Create an application token",
				Text: "The token is in the response and nowhere else. A token of a client has the roles and permissions in the body; a token of a user has those of the user, and the body must have none. A caller cannot give more than it holds.",
				Path: named, Body: of.wanted, BodyEncodings: endpoint.AnyEncoding, IsBodyOptional: true, Callers: endpoint.CallersWithEither, Response: of.issuedKeys, ErrorStatuses: append([]int{409}, common...),
			}},
			endpoint.Operation{Method: http.MethodGet, Path: one, Serve: h.authenticateManagement(of.lists(h.getToken)), Doc: endpoint.Description{
				Id: "get" + of.suffix, Tag: of.tag, Summary: "Get the description of an application token",
				Text: "The response does not have the token itself, which cannot be shown again.",
				Path: named, Callers: endpoint.CallersWithEither, Response: tokenResponse{of.view}, ErrorStatuses: []int{400, 401, 403, 404, 503},
			}},
			endpoint.Operation{Method: http.MethodPatch, Path: one, Serve: h.authenticateManagement(requireTokensPermission(h.patchToken)), Doc: endpoint.Description{
				Id: "change" + of.suffix, Tag: of.tag, Summary: "Change, suspend or reactivate an application token",
				Text: "The token itself stays the same. Absent members stay unchanged. A token that was suspended in Kubernetes can be reactivated only there.",
				Path: named, Body: exampleChange, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersWithEither, Response: tokenResponse{of.view}, ErrorStatuses: common,
			}},
			endpoint.Operation{Method: http.MethodDelete, Path: one, Serve: h.authenticateManagement(of.lists(h.deleteToken)), Doc: endpoint.Description{
				Id: "revoke" + of.suffix, Tag: of.tag, Summary: "Revoke an application token",
				Text: "Every version of the token ends at once, for good.",
				Path: named, Callers: endpoint.CallersWithEither, Response: struct{}{}, ErrorStatuses: []int{400, 401, 403, 404, 503},
			}},
			endpoint.Operation{Method: http.MethodPost, Path: one + "/clone", Serve: h.authenticateManagement(requireTokensPermission(h.cloneToken)), Doc: endpoint.Description{
				Id: "clone" + of.suffix, Tag: of.tag, Summary: "Clone an application token",
				Text: "The new token has the same grants and another name.",
				Path: named, Headers: key, Body: cloneTokenBody{Name: "ci-deploy-2"}, BodyEncodings: endpoint.AnyEncoding, Callers: endpoint.CallersWithEither, Response: of.issuedKeys, ErrorStatuses: append([]int{409}, common...),
			}},
			endpoint.Operation{Method: http.MethodPost, Path: one + "/rotate", Serve: h.authenticateManagement(h.rotateToken), Doc: endpoint.Description{
				Id: "rotate" + of.suffix, Tag: of.tag, Summary: "Rotate an application token",
				Text: "The token gets a new version, and the previous one stays valid for the overlap. For a token that rotates itself, the rules of rotateOwn apply.",
				Path: named, Headers: key, Callers: endpoint.CallersWithEither, Response: of.issuedKeys, IsDeferred: true, ErrorStatuses: append([]int{409, 413, 415}, common...),
			}},
		)...)
	}
	return all
}
