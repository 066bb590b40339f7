package server

import (
	"net/http"
)

// Bodies of the login protocols, for the OpenAPI document. Handlers read them field by field, in
// each encoding: see login.go.
type (
	loginBody struct {
		Username  string `json:"username"`
		Password  string `json:"password" format:"password"`
		AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"The account_id of the client to log in at. Without it, the user's default account"`
	}
	authLoginBody struct {
		Username  string `json:"username"`
		Password  string `json:"password" format:"password"`
		AccountID int64  `json:"account_id,omitempty" minimum:"1" doc:"The account_id of the client to log in at. Without it, the user's default account"`
		AuthOnly  bool   `json:"auth_only,omitempty" doc:"Check the password, and issue no token"`
	}
	refreshBody struct {
		RefreshToken string `json:"refresh_token" format:"password"`
	}
	masqueradeBody struct {
		AccountID int64 `json:"account_id" minimum:"1" doc:"The account_id of the client to move to"`
	}
	grantBody struct {
		GrantType    string `json:"grant_type" enum:"password,refresh_token"`
		Username     string `json:"username,omitempty" doc:"For the grant password"`
		Password     string `json:"password,omitempty" format:"password" doc:"For the grant password"`
		RefreshToken string `json:"refresh_token,omitempty" format:"password" doc:"For the grant refresh_token"`
		AccountID    int64  `json:"account_id,omitempty" minimum:"1" doc:"For the grant password: the account_id of the client to log in at"`
		ClientID     string `json:"client_id,omitempty" doc:"The name of a client. If the user has an account there, the login is at that client"`
		ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"An application token of that client. Not required"`
	}
	tokenBody struct {
		Token        string `json:"token" format:"password"`
		Hint         string `json:"token_type_hint,omitempty" doc:"Ignored"`
		ClientID     string `json:"client_id,omitempty" doc:"The client of the caller's own token, if client_secret has that token"`
		ClientSecret string `json:"client_secret,omitempty" format:"password" doc:"The caller's own token, if it is not in the header Authorization"`
	}
)

// operations returns every operation of the HTTP endpoints.
func (d *Endpoints) operations() []operation {
	logins := d.logins()
	all := append(d.authz().operations(), (&OAuth{Logins: logins, Records: d.Records}).operations()...)
	if d.Logins != nil {
		all = append(all, (&TeleTracker{logins}).operations()...)
		all = append(all, (&Spectrum{logins}).operations()...)
		all = append(all, (&Funnelback{logins}).operations()...)
	}
	if d.Management != nil {
		all = append(all, tokenOperations(&TokenAPI{Logins: logins, Tokens: d.Management})...)
	}
	document := openAPI(all)
	return append(all, operation{method: http.MethodGet, path: "/openapi.json", serve: func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header["Content-Type"] = contentTypeJSON
		setBrowserHeaders(header)
		_, _ = w.Write(document) //nolint:errcheck // the caller is gone
	}})
}

// allowAnyCaller returns serve unchanged: an authenticated caller needs no permission.
func allowAnyCaller(serve managementHandler) managementHandler { return serve }
