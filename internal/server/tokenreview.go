package server

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/verify"
)

// mostReview is how many bytes a TokenReview may have.
const mostReview = 64 << 10

// Names that a Kubernetes API server knows a credential by. None begins with "system:", whatever a client is called.
const (
	userPrefix   = "apptoken:"
	groupClients = "apptoken:client:"
	groupRoles   = "apptoken:role:"
	extraPrefix  = "apptoken.dev/"
)

// tokenReview answers a kube-apiserver (authentication.k8s.io/v1).
func (d *Doors) tokenReview(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostReview))
	if err != nil {
		problem(w, unreadable(err), "invalid_request", "the TokenReview cannot be read")
		return
	}
	var review authenticationv1.TokenReview
	if err := json.Unmarshal(body, &review); err != nil || review.Kind != "TokenReview" || review.APIVersion != authenticationv1.SchemeGroupVersion.String() {
		problem(w, http.StatusBadRequest, "invalid_request", "this is no TokenReview of authentication.k8s.io/v1")
		return
	}
	// Where the credential was presented, and with which session, an API server does not say: one with ranges is not known
	// to be in them, nor one of a session to be in that.
	who, verdict := d.ask(r.Context(), doorReview, review.Spec.Token, verify.Facts{}, d.caller(r))
	if verdict == verify.Stale {
		unavailable(w)
		return
	}
	answer(w, http.StatusOK, authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: review.Kind, APIVersion: review.APIVersion},
		Status:   reviewed(who, verdict, review.Spec.Audiences, d.Audiences),
	})
}

// reviewed says who it is in the words of Kubernetes. Where our tokens have audiences, one of them must be asked for. Where
// they have none, none is claimed, and the API server takes the token to be for itself alone.
func reviewed(who verify.Identity, v verify.Verdict, asked, ours []string) authenticationv1.TokenReviewStatus {
	var audiences []string
	for _, a := range asked {
		if slices.Contains(ours, a) {
			audiences = append(audiences, a)
		}
	}
	if v != verify.Good || len(ours) > 0 && len(audiences) == 0 {
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
			// An ApplicationToken has a namespace, and a User none. No name of either holds a colon: neither is taken for the
			// other.
			Username: userPrefix + strings.ReplaceAll(who.Subject, "/", ":"),
			UID:      who.UID,
			Groups:   groups,
			Extra:    extra,
		},
	}
}
