package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
)

// at returns the same tenant at another replica.
func (w *tenant) at(op *operator) *tenant {
	same := *w
	same.op = op
	return &same
}

// accessToken exchanges the token in a Secret for an access token.
func (w *tenant) accessToken(name, scope string) string {
	w.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.name}, "client_secret": {w.tokenText(name)}, "scope": {scope}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	got, err := w.sendRequest(w.Context(), "bind-address", http.MethodPost, "/oauth2/token", header, form.Encode())
	w.must(err)
	var said tokenResponse
	w.must(json.Unmarshal([]byte(got.body), &said))
	if got.status != http.StatusOK || said.AccessToken == "" || said.RefreshToken != "" || scope != "" && said.Scope != scope {
		w.Fatalf("%d %s", got.status, got.body)
	}
	plaintexts.addText(said.AccessToken)
	return said.AccessToken
}

// Every replica accepts an access token at the first request, whatever its watch has delivered, and
// rejects it with its application token [3.7] [row 2].
func TestOAuth_AccessTokenEndsWithApplicationTokenOnAllReplicas(t *testing.T) {
	var all []*operator
	for range 2 {
		o := defaultOptions()
		o.LeaderElect = true
		all = append(all, startOperator(t, o))
	}
	w := newTenant(t, all[0])
	for name, end := range map[string]func(name string){
		"suspended": func(name string) { w.editToken(name, `{state: Suspended}`) },
		"deleted":   func(name string) { w.must(admin.Delete(w.Context(), w.manifest(name, `{}`))) },
		"revoked": func(name string) {
			w.must(admin.Delete(w.Context(), &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: w.currentDigest(name).RecordName()}}))
		},
	} {
		w.declareToken(name, `{roles: [primary]}`)
		w.waitReady(name)
		for _, op := range all {
			w.at(op).eventually("the token is known", func(context.Context) bool {
				return w.at(op).verifyToken(w.tokenText(name), "", "192.0.2.1").status == http.StatusOK
			})
		}
		texts := []string{w.at(all[0]).accessToken(name, ""), w.at(all[1]).accessToken(name, "search.query")}
		for _, text := range texts {
			for i, op := range all {
				if got := w.at(op).verifyToken(text, "?permission=search.query", "192.0.2.1"); got.status != http.StatusOK {
					t.Errorf("%s, before, at replica %d: %d", name, i, got.status)
				}
			}
		}
		end(name)
		for _, text := range texts {
			for _, op := range all {
				w.at(op).eventually("it is rejected", func(context.Context) bool {
					return w.at(op).verifyToken(text, "", "192.0.2.1").status == http.StatusUnauthorized
				})
			}
		}
	}
}
