package tokenapi

import (
	"strings"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/endpoint"
)

// Request and response bodies of the management API.

// tokenView describes an application token.
type tokenView struct {
	Name         string   `json:"name" doc:"The name of the token in this API. For a token that is declared in a manifest it is namespace:name"`
	Namespace    string   `json:"namespace" doc:"The namespace of the ApplicationToken"`
	Object       string   `json:"object" doc:"The name of the ApplicationToken"`
	Client       string   `json:"client"`
	User         string   `json:"user,omitempty" doc:"The user that the token acts for"`
	Declared     bool     `json:"declared" doc:"The token is declared in a manifest, and is in a Secret"`
	ID           string   `json:"id,omitempty" doc:"The name of the TokenRecord of the current version"`
	Hint         string   `json:"hint,omitempty" doc:"Four characters of the token, by which a user recognizes it"`
	State        string   `json:"state" enum:"Active,Suspended,Revoked"`
	Ready        bool     `json:"ready"`
	Reason       string   `json:"reason,omitempty" doc:"The reason of the condition Ready"`
	Roles        []string `json:"roles"`
	Permissions  []string `json:"permissions"`
	SourceRanges []string `json:"sourceRanges"`
	Lifetime     string   `json:"lifetime,omitempty" doc:"The lifetime of each version. Absent if versions do not expire"`
	IssuedAt     string   `json:"issuedAt,omitempty" format:"date-time"`
	ExpiresAt    string   `json:"expiresAt,omitempty" format:"date-time" doc:"The first instant at which the current version is rejected"`
	LastUsedAt   string   `json:"lastUsedAt,omitempty" format:"date-time"`
	LastUsedFrom string   `json:"lastUsedFrom,omitempty"`
	Rotations    int64    `json:"rotations"`
	Predecessors int      `json:"predecessors" doc:"The number of previous versions that are still valid"`
}

func viewOf(t management.Token) tokenView {
	list := func(names []string) []string { return append([]string{}, names...) }
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	v := tokenView{
		Name: t.Name, Namespace: t.Namespace, Object: t.Object, Client: t.Client, User: t.User, Declared: t.Declared,
		ID: t.ID, Hint: t.Hint, State: t.State, Ready: t.Ready, Reason: t.Reason,
		Roles: list(t.Roles), Permissions: list(t.Permissions), SourceRanges: list(t.SourceRanges),
		IssuedAt: at(t.IssuedAt), ExpiresAt: at(t.ExpiresAt), LastUsedAt: at(t.LastUsedAt), LastUsedFrom: t.LastUsedFrom,
		Rotations: t.Rotations, Predecessors: t.Predecessors,
	}
	if t.Lifetime > 0 {
		v.Lifetime = formatLifetime(t.Lifetime)
	}
	return v
}

// formatLifetime returns a duration without trailing zero units, such as 720h.
func formatLifetime(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// issuedTokenResponse is the response that carries a token, once.
type issuedTokenResponse struct {
	endpoint.NoError
	Data     *string   `json:"data" doc:"The token. It cannot be shown again. null if it is in a Secret"`
	Username string    `json:"username,omitempty" doc:"The name of the token for Basic authentication, which its client may allow. Absent if the token is"`
	Password string    `json:"password,omitempty" format:"password" doc:"The password for Basic authentication: the token, as in data"`
	Token    tokenView `json:"applicationToken"`
}

// tokenResponse is the response that describes a token.
type tokenResponse struct {
	endpoint.NoError
	Data tokenView `json:"data"`
}

// tokenListResponse is the response that lists tokens.
type tokenListResponse struct {
	endpoint.NoError
	Data []tokenView `json:"data"`
}

// revokedResponse is the response to a revocation.
type revokedResponse struct {
	endpoint.NoError
	Data string `json:"data" doc:"Always the same text"`
}

// revoked is the response to every revocation.
var revoked = revokedResponse{Data: "The application token is revoked."}

// createTokenBody is the body of a request that creates a token.
type createTokenBody struct {
	Roles        []string `json:"roles,omitempty" doc:"Roles of the client"`
	Permissions  []string `json:"permissions,omitempty" doc:"Permissions that the roles of the client have"`
	SourceRanges []string `json:"sourceRanges,omitempty" doc:"Address ranges from which the token is accepted, such as 10.0.0.0/8. Without them, every address"`
	Lifetime     *string  `json:"lifetime,omitempty" doc:"The lifetime, such as 720h. Without it, the token does not expire" example:"720h"`
}

// changeTokenBody is the body of a request that changes a token. Absent members stay unchanged.
type changeTokenBody struct {
	Roles        *[]string `json:"roles,omitempty"`
	Permissions  *[]string `json:"permissions,omitempty"`
	SourceRanges *[]string `json:"sourceRanges,omitempty"`
	State        *string   `json:"state,omitempty" enum:"Active,Suspended"`
}

// cloneTokenBody is the body of a request that clones a token.
type cloneTokenBody struct {
	Name string `json:"name" doc:"The name of the new token"`
}
