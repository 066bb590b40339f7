package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// response is a response of an endpoint, read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

// sendRequest sends a request to the listener of a flag.
func (w *tenant) sendRequest(ctx context.Context, flag, method, path string, header http.Header, body string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.op.Listeners[flag].Addr().String()+path, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(text)}, err
}

// verifyToken calls /verify as a gateway does, for a request that presents a token and comes from
// an address.
func (w *tenant) verifyToken(text, query, from string) response {
	w.Helper()
	header := http.Header{"Authorization": {"Bearer " + text}, "X-Forwarded-For": {from}}
	a, err := w.sendRequest(w.Context(), "bind-address", http.MethodGet, "/verify"+query, header, "")
	w.must(err)
	return a
}

// postForm sends a form to an OAuth endpoint, authenticated by a token if there is one.
func (w *tenant) postForm(path, by, text string) response {
	w.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if by != "" {
		header.Set("Authorization", "Bearer "+by)
	}
	a, err := w.sendRequest(w.Context(), "bind-address", http.MethodPost, path, header, url.Values{"token": {text}}.Encode())
	w.must(err)
	return a
}

// tokenText returns the token in a Secret, as a workload reads it.
func (w *tenant) tokenText(name string) string {
	w.Helper()
	return string(w.secret(name).Data["token"])
}

func TestEndpoints_AcceptTokenFromSecret(t *testing.T) {
	w := newSharedTenant(t)
	w.editClient(`{accountID: null, roles: [{name: primary, permissions: ["search.*"]}, {name: writer, permissions: ["sec.token.introspect"]}]}`)
	w.declareToken("indexer", `{roles: [primary]}`)
	w.declareToken("gateway", `{roles: [writer]}`)
	w.waitReady("indexer")
	w.waitReady("gateway")
	text, id := w.tokenText("indexer"), w.currentDigest("indexer").RecordName()

	got := w.verifyToken(text, "?permission=search.query&role=primary&client="+w.name, "192.0.2.1")
	for name, want := range map[string]string{
		"X-Apptoken-Subject": w.name + "/indexer", "X-Apptoken-Client": w.name, "X-Apptoken-Roles": "primary",
		"X-Apptoken-Permissions": "search.*", "X-Apptoken-Token-Id": id, "X-Apptoken-Kind": "Application",
	} {
		if got.status != http.StatusOK || got.header.Get(name) != want {
			t.Errorf("%d: %s is %q, want %q", got.status, name, got.header.Get(name), want)
		}
	}
	if got := w.verifyToken(text, "?permission=index.write", "192.0.2.1"); got.status != http.StatusForbidden {
		t.Errorf("without the permission: %d", got.status)
	}

	introspected := w.postForm("/oauth2/introspect", w.tokenText("gateway"), text)
	var said struct {
		Active bool   `json:"active"`
		Sub    string `json:"sub"`
		JTI    string `json:"jti"`
	}
	if err := json.Unmarshal([]byte(introspected.body), &said); err != nil || !said.Active || said.Sub != w.name+"/indexer" || said.JTI != id {
		t.Errorf("%d %s", introspected.status, introspected.body)
	}

	review, err := json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: text},
	})
	w.must(err)
	reviewed, err := w.sendRequest(t.Context(), "webhook-bind-address", http.MethodPost, "/tokenreview", http.Header{"Content-Type": {"application/json"}}, string(review))
	w.must(err)
	var status authenticationv1.TokenReview
	if err := json.Unmarshal([]byte(reviewed.body), &status); err != nil || status.Status.User.Username != "apptoken:"+w.name+":indexer" {
		t.Errorf("%d %s", reviewed.status, reviewed.body)
	}
}

func TestEndpoints_RejectRevokedToken(t *testing.T) { // [3.7] [row 2]
	t.Parallel()
	for sentence, end := range map[string]func(w *tenant){
		"the token is deleted": func(w *tenant) {
			w.must(admin.Delete(w.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "indexer"}}))
		},
		"the token is suspended":  func(w *tenant) { w.editToken("indexer", `{state: Suspended}`) },
		"the token is revoked":    func(w *tenant) { w.editToken("indexer", `{state: Revoked}`) },
		"the client is suspended": func(w *tenant) { w.editClient(`{state: Suspended}`) },
		"the client is deleted": func(w *tenant) {
			w.must(admin.Delete(w.Context(), &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.name}}))
		},
		"the record is deleted": func(w *tenant) {
			w.must(admin.Delete(w.Context(), &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: w.currentDigest("indexer").RecordName()}}))
		},
		"its holder revokes it": func(w *tenant) {
			if got := w.postForm("/oauth2/revoke", "", w.tokenText("indexer")); got.status != http.StatusOK {
				w.Errorf("%d %s", got.status, got.body)
			}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.declareToken("indexer", `{roles: [primary]}`)
			w.waitReady("indexer")
			text := w.tokenText("indexer")
			if got := w.verifyToken(text, "", "192.0.2.1"); got.status != http.StatusOK {
				t.Fatalf("before: %d", got.status)
			}
			end(w)
			w.eventually("it is refused", func(context.Context) bool {
				return w.verifyToken(text, "", "192.0.2.1").status == http.StatusUnauthorized
			})
		})
	}
}

// Usage-gated retirement depends on the uses that the endpoints observe, and on nothing that a user
// writes by hand.
func TestRetire_UsedPredecessorStaysUntilQuiet(t *testing.T) {
	w := newSharedTenant(t)
	const quiet = 12 * time.Second
	w.declareToken("indexer", `{rotation: {trigger: a, retire: {when: Unused, minOverlap: 4s, quietPeriod: 12s, maxOverlap: 24h}}}`)
	w.waitReady("indexer")
	first, text := w.currentDigest("indexer"), w.tokenText("indexer")
	w.verifyToken(text, "", "192.0.2.1")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2)
	w.eventually("its successor is used", func(context.Context) bool {
		return w.verifyToken(w.tokenText("indexer"), "", "192.0.2.9").status == http.StatusOK
	})

	began, last := time.Now(), time.Time{}
	w.eventually("it has been in use for twice its quiet period", func(context.Context) bool {
		last = time.Now()
		if got := w.verifyToken(text, "", "192.0.2.7"); got.status != http.StatusOK {
			t.Errorf("refused while in use: %d", got.status)
			return true
		}
		return time.Since(began) > 2*quiet
	})
	var rec v1alpha1.TokenRecord
	w.must(admin.Get(t.Context(), types.NamespacedName{Namespace: systemNamespace, Name: first.RecordName()}, &rec))
	if rec.Status.LastUsedFrom != "192.0.2.7" || rec.Status.LastUsedAt.Time.Before(began.Add(-time.Second)) {
		t.Errorf("the record says it was used at %v from %q", rec.Status.LastUsedAt, rec.Status.LastUsedFrom)
	}
	w.eventually("it goes", func(ctx context.Context) bool {
		return client.IgnoreNotFound(admin.Get(ctx, client.ObjectKeyFromObject(&rec), &rec)) == nil && !w.isAccepted(first)
	})
	if early := quiet - 6*time.Second - time.Since(last); early > 0 {
		t.Errorf("it went %s after its last use", time.Since(last))
	}
	if got := w.verifyToken(text, "", "192.0.2.7"); got.status != http.StatusUnauthorized {
		t.Errorf("%d once it is retired", got.status)
	}
}
