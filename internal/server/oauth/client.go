package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// clientSecretHint is the part of an error that describes the secret of a client. It names no
// client and no token.
const clientSecretHint = "client_secret must be an application token of the client named client_id; a public client sends none"

// oauthClient is the OAuth client that a program says it is.
type oauthClient struct {
	name   string          // client_id: the name of a client, or any other text; may be empty
	proof  verify.Identity // of the application token of the client of that name, if the program has sent one
	digest token.Digest    // of that application token; zero: none
	caller oauthCaller     // how it authenticates
}

// provenName returns the client whose token the program has sent, or an empty string.
func (p oauthClient) provenName() string {
	if p.digest == (token.Digest{}) {
		return ""
	}
	return p.name
}

// basicClient returns the name and the secret of a client in a Basic header (RFC 6749, section
// 2.3.1). ok is false if they cannot be read.
func basicClient(r *http.Request) (name, secret string, ok bool) {
	name, secret, ok = r.BasicAuth()
	name, err1 := url.QueryUnescape(name)
	secret, err2 := url.QueryUnescape(secret)
	return name, secret, ok && len(r.Header["Authorization"]) == 1 && err1 == nil && err2 == nil
}

// clientInFields returns the name and the secret of a client in the body. Each is empty if it is
// absent.
func clientInFields(f decode.Fields) (name, secret string, err error) {
	if name, _, err = f.Text(loginapi.FieldClientID); err != nil {
		return "", "", err
	}
	secret, _, err = f.Text(loginapi.FieldClientSecret)
	return name, secret, err
}

// oauthClientOf returns the program in the body or in the Authorization header. A program is a
// public client and needs no secret (RFC 6749, section 2.4). A secret must be an application token
// of the client named client_id, and limits the program to logins at that client.
func (h *Handlers) oauthClientOf(w http.ResponseWriter, r *http.Request, f decode.Fields) (oauthClient, error) {
	name, secret, err := clientInFields(f)
	if err != nil {
		return oauthClient{}, err
	}
	c := oauthCaller{Credentials: endpoint.Credentials{Text: secret}, client: name, hasName: true}
	if _, c.isBasic, _ = endpoint.PasswordInHeader(r); c.isBasic {
		user, pass, readable := basicClient(r)
		if secret != "" || name != "" && name != user {
			return oauthClient{}, &decode.Error{Status: http.StatusBadRequest, Field: loginapi.FieldClientID, Message: "or client_secret is in the body and in the header Authorization; send it once"}
		}
		if !readable {
			writeInvalidClient(w)
			return oauthClient{}, endpoint.ErrResponseWritten
		}
		c.client, c.Text = user, pass
	}
	p := oauthClient{name: c.client, caller: c}
	if c.Text == "" {
		return p, nil
	}
	who, verdict := h.VerifyCredential(r.Context(), endpoint.Login, c.Text, c.facts(), h.Origin(r))
	_, digest, err := token.DigestOf(c.Text)
	switch {
	case verdict == verify.Valid && err == nil && (who.Kind == token.Application || who.Kind == token.UserApplication):
		p.proof, p.digest = who, digest
		return p, nil
	case verdict.IsUndecided():
		endpoint.WriteUnavailable(w)
	default:
		writeInvalidClient(w)
	}
	return oauthClient{}, endpoint.ErrResponseWritten
}

// writeInvalidClient writes the response to a program whose secret is not accepted, for whatever
// reason. The challenge is Basic, since a bearer token is not accepted here.
func writeInvalidClient(w http.ResponseWriter) {
	w.Header()["Www-Authenticate"] = endpoint.BasicChallenge
	endpoint.WriteError(w, http.StatusUnauthorized, "invalid_client", "the client is not authenticated: "+clientSecretHint)
}

// grantedScope returns the scope of an access token: what the request names, or else what the
// application token holds.
func (p oauthClient) grantedScope(asked []string) string {
	if len(asked) == 0 {
		asked = p.proof.Permissions
	}
	return strings.Join(asked, " ")
}

// errUnauthorizedClient reports that a program may not use the grant client_credentials.
var errUnauthorizedClient = errors.New("client_credentials needs an application token that acts for the client alone, and this one acts for a user; present it as a bearer token")

// errNoSecret reports that a program sends no secret for the grant client_credentials.
var errNoSecret = errors.New("the client sends no secret")
