package authz

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/verify"
)

const (
	// maxReview is how many bytes of a TokenReview are kept. A longer one has a token that is
	// longer than any valid token.
	maxReview = 64 << 10
	// maxReviewBody is the maximum size of a TokenReview in bytes. A kube-apiserver accepts headers
	// of 1 MiB, and JSON encodes some bytes as six.
	maxReviewBody = 8 << 20
)

// Prefixes of the names in a TokenReview. No name begins with "system:", whatever the name of a
// client.
const (
	userPrefix   = "apptoken:"
	groupClients = "apptoken:client:"
	groupRoles   = "apptoken:role:"
	extraPrefix  = "apptoken.dev/"
)

// TokenReview serves the TokenReview webhook (authentication.k8s.io/v1). A kube-apiserver counts
// any status but 200 as a failure of the webhook. So a token that is too long gets the answer of
// any other invalid token.
func (h *Handlers) TokenReview(w http.ResponseWriter, r *http.Request) {
	review, err := readReview(http.MaxBytesReader(w, r.Body, maxReviewBody))
	switch {
	case errors.Is(err, errNotReview):
		endpoint.WriteError(w, http.StatusBadRequest, "invalid_request", "the body is not a TokenReview of authentication.k8s.io/v1")
		return
	case err != nil:
		endpoint.WriteError(w, endpoint.ReadErrorStatus(err), "invalid_request", "the TokenReview cannot be read")
		return
	}
	// A kube-apiserver sends neither the address from which a credential was presented nor its
	// session ID. So a credential with source ranges is outside of them, and a session token is
	// without its session.
	who, verdict := h.VerifyCredential(r.Context(), endpoint.TokenReview, review.Spec.Token, verify.Facts{}, h.Origin(r).WithoutSource())
	if verdict == verify.Stale {
		endpoint.WriteUnavailable(w)
		return
	}
	// A kube-apiserver goes by the name and the groups, and would not see the scope.
	if verdict == verify.Valid && who.IsNarrowed {
		verdict = verify.PermissionMissing
	}
	endpoint.WriteJSON(w, http.StatusOK, authenticationv1.TokenReview{
		TypeMeta: reviewType,
		Status:   reviewStatus(who, verdict, review.Spec.Audiences, h.Audiences),
	})
}

// reviewType is the kind and version of a TokenReview.
var reviewType = metav1.TypeMeta{Kind: "TokenReview", APIVersion: authenticationv1.SchemeGroupVersion.String()}

// errNotReview reports that a body is no TokenReview.
var errNotReview = errors.New("not a TokenReview")

// readReview reads a TokenReview to its end. If the body exceeds maxReview bytes, the result has no
// token.
func readReview(body io.Reader) (authenticationv1.TokenReview, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxReview+1))
	if err != nil {
		return authenticationv1.TokenReview{}, err
	}
	if len(text) > maxReview {
		_, err := io.Copy(io.Discard, body)
		return authenticationv1.TokenReview{}, err
	}
	var review authenticationv1.TokenReview
	if err := json.Unmarshal(text, &review); err != nil || review.TypeMeta != reviewType {
		return authenticationv1.TokenReview{}, errNotReview
	}
	return review, nil
}

// reviewStatus returns the status of a TokenReview. If the operator's tokens have audiences, the
// request must name one of them. If they have none, the status names none either, and the API
// server takes the token to be for itself alone.
func reviewStatus(who verify.Identity, v verify.Verdict, asked, ours []string) authenticationv1.TokenReviewStatus {
	var audiences []string
	for _, a := range asked {
		if slices.Contains(ours, a) {
			audiences = append(audiences, a)
		}
	}
	if v != verify.Valid || len(ours) > 0 && len(audiences) == 0 {
		return authenticationv1.TokenReviewStatus{}
	}
	groups := []string{groupClients + who.Client.Name}
	for _, role := range who.Roles {
		groups = append(groups, groupRoles+who.Client.Name+":"+role)
	}
	extra := map[string]authenticationv1.ExtraValue{
		extraPrefix + "client":      {who.Client.Name},
		extraPrefix + "token-id":    {who.ID.String()},
		extraPrefix + "kind":        {who.Kind.String()},
		extraPrefix + "permissions": who.Permissions,
	}
	if who.User != nil {
		extra[extraPrefix+"user"] = authenticationv1.ExtraValue{who.User.Name}
	}
	return authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     audiences,
		User: authenticationv1.UserInfo{
			// The subject of an ApplicationToken has a namespace, that of a User has none. No name
			// of either holds a colon, so neither can be taken for the other.
			Username: userPrefix + strings.ReplaceAll(who.Subject, "/", ":"),
			UID:      who.UID,
			Groups:   groups,
			Extra:    extra,
		},
	}
}
