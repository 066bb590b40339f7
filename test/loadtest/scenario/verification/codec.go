package verification

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// tokenReview compares /tokenreview with a handler that decodes the same request and encodes the
// same response.
func (d *endpointTest) tokenReview(ctx context.Context, b *scenario.Run, r report.Table) error {
	review := func(text string) string {
		body, err := json.Marshal(authenticationv1.TokenReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
			Spec:     authenticationv1.TokenReviewSpec{Token: text, Audiences: []string{"https://kubernetes.default.svc"}},
		})
		if err != nil {
			return ""
		}
		return string(body)
	}
	requests := d.requests(http.MethodPost, "/tokenreview", "application/json", review)
	e := codecEndpoint{path: "/tokenreview", handler: d.WebhookHandler(), requests: requests, response: &authenticationv1.TokenReview{}, decode: func(req *http.Request) error {
		return json.NewDecoder(req.Body).Decode(&authenticationv1.TokenReview{})
	}}
	return d.compareWithCodec(ctx, b, r, e)
}

// introspectionResponse is the response to an introspection.
type introspectionResponse struct {
	Active      bool     `json:"active"`
	Scope       string   `json:"scope,omitempty"`
	ClientID    string   `json:"client_id,omitempty"`
	TokenType   string   `json:"token_type,omitempty"`
	Expires     int64    `json:"exp,omitempty"`
	IssuedAt    int64    `json:"iat,omitempty"`
	Subject     string   `json:"sub,omitempty"`
	ID          string   `json:"jti,omitempty"`
	Kind        string   `json:"apptoken_kind,omitempty"`
	Roles       []string `json:"apptoken_roles,omitempty"`
	Permissions []string `json:"apptoken_permissions,omitempty"`
}

func (d *endpointTest) introspection(ctx context.Context, b *scenario.Run, r report.Table) error {
	requests := d.requests(http.MethodPost, "/oauth2/introspect", "application/x-www-form-urlencoded", func(text string) string {
		return url.Values{"token": {text}}.Encode()
	})
	e := codecEndpoint{path: "/oauth2/introspect", handler: d.Handler(), requests: requests, response: &introspectionResponse{}, decode: (*http.Request).ParseForm}
	return d.compareWithCodec(ctx, b, r, e)
}

// codecEndpoint is an endpoint with a body in its request and response.
type codecEndpoint struct {
	path     string
	handler  http.Handler
	requests [][]byte
	response any // pointer to the type of the response
	decode   func(*http.Request) error
}

// compareWithCodec compares an endpoint with a handler that only decodes the request and encodes
// the response of the endpoint.
func (d *endpointTest) compareWithCodec(ctx context.Context, b *scenario.Run, r report.Table, e codecEndpoint) error {
	codec := http.NewServeMux()
	codec.HandleFunc(e.path, func(w http.ResponseWriter, req *http.Request) {
		if err := e.decode(req); err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		body, err := json.Marshal(e.response)
		if err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) //nolint:errcheck // the client has gone
	})
	sample, err := d.serve(ctx, e.handler)
	if err != nil {
		return err
	}
	if err := load.AskOnce(ctx, sample, e.requests[0], e.response); err != nil {
		return err
	}
	v, err := d.compare(ctx, b, e.requests, []string{e.path, "decoding and encoding alone"}, e.handler, codec)
	if err != nil {
		return err
	}
	r.AddRatio(e.path+", beside decoding and encoding alone", v[0].Rate, "/s", v[1].Rate, report.AtLeast(0.5))
	return nil
}
