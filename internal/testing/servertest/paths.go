package servertest

// Paths of the endpoints. A path that ends with a slash lacks its last segment.
const (
	PathFormLogin      = "/admin-api/account/v1/login"
	PathSessionToken   = "/security/rest/token/access/session/" // and the minutes
	PathOpenToken      = "/security/rest/token/access/"         // and the minutes
	PathSpectrumLogout = "/security/rest/token/logout"
	PathAcmeTokens     = "/application-tokens/v1/clients/acme/application-token"
	PathUmbrellaTokens = "/application-tokens/v1/clients/umbrella/application-token"
	PathUserTokens     = "/application-tokens/v1/application-token"
)

// Bodies of every 404: at paths of the login and the tokens of Funnelback, and elsewhere.
const (
	EnvelopeNotFoundBody = `{"errorMessage":"there is nothing at this path","data":null,"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
	NotFoundBody         = `{"error":"not_found","error_description":"there is nothing at this path"}` + "\n"
)
