package oauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify"
)

func TestVectors_ThroughIntrospection(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for _, v := range h.Vectors {
		if v.Credential == nil || *v.Credential == "" {
			continue // a resource server sends the credential alone
		}
		t.Run(v.Name, func(t *testing.T) {
			got := h.Post("/oauth2/introspect", "auditor", url.Values{"token": {*v.Credential}})
			if got.Status != http.StatusOK {
				t.Fatalf("%d: %s", got.Status, got.Body)
			}
			h.CheckNoLeak("the answer", got.Body)
			good := v.BareVerdict() == verify.Valid.String()
			if !good {
				if got.Body != "{\"active\":false}\n" {
					t.Errorf("%s", got.Body)
				}
				return
			}
			said := got.JSON(t)
			username, _ := said["username"].(string)
			if said["active"] != true || v.Verdict == verify.Valid.String() &&
				(said["sub"] != v.Subject || said["client_id"] != v.Client || username != h.Users[v.User].Username) {
				t.Errorf("%s", got.Body)
			}
		})
	}
	h.CheckNoLeak("the audit log", h.AuditLog.Text())
}
