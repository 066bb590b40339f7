package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/verify"
)

const (
	// maxReview is how many bytes of a TokenReview are kept. A longer one holds a token that is longer than any valid one.
	maxReview = 64 << 10
	// maxReviewBody is how many bytes a TokenReview may have. A kube-apiserver takes headers of 1 MiB, and JSON writes
	// some bytes as six.
	maxReviewBody = 8 << 20
)

// Names that a Kubernetes API server knows a credential by. None begins with "system:", whatever a client is called.
const (
	userPrefix   = "apptoken:"
	groupClients = "apptoken:client:"
	groupRoles   = "apptoken:role:"
	extraPrefix  = "apptoken.dev/"
)

// tokenReview answers a kube-apiserver (authentication.k8s.io/v1). An answer other than 200 counts there as a failure of the
// webhook, so a token that is too long is answered like any other that is not valid.
func (d *Doors) tokenReview(w http.ResponseWriter, r *http.Request) {
	review, err := readReview(http.MaxBytesReader(w, r.Body, maxReviewBody))
	switch {
	case errors.Is(err, errNotReview):
		problem(w, http.StatusBadRequest, "invalid_request", "this is no TokenReview of authentication.k8s.io/v1")
		return
	case err != nil:
		problem(w, unreadable(err), "invalid_request", "the TokenReview cannot be read")
		return
	}
	// Where the credential was presented, and with which session, an API server does not say: one with ranges is not known
	// to be in them, nor one of a session to be in that.
	who, verdict := d.ask(r.Context(), doorReview, review.Spec.Token, verify.Facts{}, d.origin(r).untold())
	if verdict == verify.Stale {
		unavailable(w)
		return
	}
	answer(w, http.StatusOK, authenticationv1.TokenReview{
		TypeMeta: reviewType,
		Status:   reviewed(who, verdict, review.Spec.Audiences, d.Audiences),
	})
}

// reviewType is the kind and version of a TokenReview.
var reviewType = metav1.TypeMeta{Kind: "TokenReview", APIVersion: authenticationv1.SchemeGroupVersion.String()}

// errNotReview reports that a body is no TokenReview.
var errNotReview = errors.New("this is no TokenReview")

// readReview reads a TokenReview to its end. It returns one without a token where the body has more than maxReview bytes.
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
