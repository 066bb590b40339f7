package authz_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// statusOf returns the status of forward auth and ext_authz for a verdict.
func statusOf(verdict string) int {
	switch verdict {
	case verify.Valid.String():
		return http.StatusOK
	case verify.PermissionMissing.String(), verify.RoleMissing.String(), verify.ClientRefused.String(), verify.AccountRefused.String():
		return http.StatusForbidden
	default:
		return http.StatusUnauthorized
	}
}

// identityOf returns the identity headers that a gateway gets for a vector.
func identityOf(h *servertest.VectorServer, v verifytest.Vector) map[string]string {
	want := map[string]string{
		"X-Apptoken-Subject": v.Subject, "X-Apptoken-Client": v.Client, "X-Apptoken-Kind": "Application",
		"X-Apptoken-Roles": strings.Join(v.Roles, ","), "X-Apptoken-Permissions": strings.Join(v.Permissions, ","),
		"X-Apptoken-User": v.User,
	}
	if v.Kind != "" {
		want["X-Apptoken-Kind"] = v.Kind
	}
	return want
}

// inQuery and inPath return the path that a gateway calls with the requirements of a vector.
func inQuery(v verifytest.Vector) string {
	return "/verify?" + servertest.RequirementsQuery(v) + "&" + v.Query
}

func inPath(v verifytest.Vector) string {
	path := "/verify/"
	for _, x := range []struct {
		name   string
		values []string
	}{{"permission", v.Requires.Permissions}, {"role", v.Requires.Roles}, {"client", v.Requires.Clients}} {
		for _, value := range x.values {
			path += x.name + "=" + url.PathEscape(value) + "/"
		}
	}
	return path + "-/search/all?client=none&permission=&" + v.Query
}

func TestVectors_ThroughForwardAuth(t *testing.T) {
	forwardAuth(t, inQuery, func(v verifytest.Vector) int { return statusOf(v.Verdict) })
}

// An empty requirement is a mistake of the gateway, and refuses every caller.
func TestVectors_ThroughForwardAuthByPath(t *testing.T) {
	forwardAuth(t, inPath, func(v verifytest.Vector) int {
		if slices.Contains(slices.Concat(v.Requires.Permissions, v.Requires.Roles, v.Requires.Clients), "") {
			return http.StatusForbidden
		}
		return statusOf(v.Verdict)
	})
}

// forwardAuth verifies every vector as a gateway does.
func forwardAuth(t *testing.T, target func(verifytest.Vector) string, status func(verifytest.Vector) int) {
	t.Helper()
	h := servertest.NewVectorServer(t)
	for _, v := range h.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			header := v.HTTPHeaders()
			if v.Source != "" {
				header.Set("X-Forwarded-For", v.Source)
			}
			before := h.Answers("verify", v.Verdict)
			got := h.Do(http.MethodGet, target(v), header, "")
			if got.Status != status(v) {
				t.Fatalf("%d: %s", got.Status, got.Body)
			}
			if counted := h.Answers("verify", v.Verdict) - before; counted != 1 && !strings.Contains(got.Body, "server_error") {
				t.Errorf("%v answers are counted as %s", counted, v.Verdict)
			}
			h.CheckNoLeak("the answer", got.Body+strings.Join(slices.Concat(got.Header["Www-Authenticate"], got.Header["X-Apptoken-Token-Id"]), " "))
			if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Server") != "" {
				t.Errorf("headers: %v", got.Header)
			}
			if got.Status != http.StatusOK {
				for name := range got.Header {
					if strings.HasPrefix(name, "X-Apptoken-") {
						t.Errorf("a refusal has %s", name)
					}
				}
				if got.Header.Get("Www-Authenticate") == "" && !strings.Contains(got.Body, "server_error") {
					t.Error("there is no WWW-Authenticate")
				}
				return
			}
			for name, want := range identityOf(h, v) {
				if got.Header.Get(name) != want || len(got.Header[name]) > 1 {
					t.Errorf("%s is %q, want %q", name, got.Header[name], want)
				}
			}
		})
	}
	h.CheckNoLeak("the audit log", h.AuditLog.Text())
}

func TestVectors_PathsOfForwardAuth(t *testing.T) {
	s := servertest.NewListenerServer(t)
	for _, v := range s.Paths {
		var headers []string
		if v.Token != "" {
			headers = append(headers, "X-Security-Token: "+s.Tokens[v.Token])
		}
		got, wire := s.Send(servertest.GetRequest(v.Path, headers...), false)
		if got.Status != v.Status || (got.Header.Get("X-Apptoken-Subject") != "") != (v.Status == http.StatusOK) {
			t.Errorf("%s: want %d: %q", v.Name, v.Status, wire)
		}
	}
	s.CheckNoLeak("the audit log", s.AuditLog.Text())
	lines := s.AuditLog.Events(t, auditlog.EndpointMisconfigured)
	if len(lines) == 0 || lines[0]["endpoint"] != "verify" || lines[0]["source"] != "127.0.0.1" || strings.Contains(s.AuditLog.Text(), "permission=") {
		t.Errorf("a misspelt requirement is not in the audit log, or as it was written: %v", lines)
	}
}

func TestVectors_ThroughTokenReview(t *testing.T) {
	h := servertest.NewVectorServer(t)
	for _, v := range h.Vectors {
		if v.Credential == nil {
			continue // an API server sends the credential alone
		}
		t.Run(v.Name, func(t *testing.T) {
			body, err := json.Marshal(authenticationv1.TokenReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
				Spec:     authenticationv1.TokenReviewSpec{Token: *v.Credential, Audiences: []string{"https://kubernetes.default.svc"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := h.Do(http.MethodPost, "/tokenreview", http.Header{"Content-Type": {"application/json"}}, string(body))
			var review authenticationv1.TokenReview
			if err := json.Unmarshal([]byte(got.Body), &review); got.Status != http.StatusOK || err != nil {
				t.Fatalf("%d: %v: %s", got.Status, err, got.Body)
			}
			h.CheckNoLeak("the answer", got.Body)
			good := v.BareVerdict() == verify.Valid.String()
			if review.Status.Authenticated != good {
				t.Fatalf("authenticated: %t, want %s", review.Status.Authenticated, v.BareVerdict())
			}
			user := review.Status.User
			if !good {
				if user.Username != "" || len(user.Groups) > 0 || review.Status.Error != "" {
					t.Errorf("a refusal says %v %q", user, review.Status.Error)
				}
				return
			}
			if v.Verdict != verify.Valid.String() {
				return // the vector names no identity
			}
			groups := []string{"apptoken:client:" + v.Client}
			for _, role := range v.Roles {
				groups = append(groups, "apptoken:role:"+v.Client+":"+role)
			}
			if user.Username != "apptoken:"+strings.ReplaceAll(v.Subject, "/", ":") || !slices.Equal(user.Groups, groups) || user.UID == "" {
				t.Errorf("user %q in %q", user.Username, user.Groups)
			}
			if !slices.Equal(user.Extra["apptoken.dev/permissions"], v.Permissions) || strings.Join(user.Extra["apptoken.dev/user"], ",") != v.User {
				t.Errorf("extra: %v", user.Extra)
			}
		})
	}
	h.CheckNoLeak("the audit log", h.AuditLog.Text())
}
