package authz_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/apptoken/operator/internal/server/authz"
)

func FuzzRequired(f *testing.F) {
	for _, seed := range []string{"", "&", "permission=a&permission=b", "role=%61&client=", "a;b=c", "%zz", "permission", "permission=a=b", "x=%", "client=a+b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		want, err := url.ParseQuery(query)
		got, failed := authz.ParseQueryRequirements(query)
		if (err != nil) != (failed != nil) {
			t.Fatalf("%q: %v, want %v", query, failed, err)
		}
		if err == nil && (!slices.Equal(got.Permissions, want["permission"]) || !slices.Equal(got.Roles, want["role"]) || !slices.Equal(got.Clients, want["client"])) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	})
}

// Text after the end of the requirements has no effect, and every parsed requirement was in the
// path.
func FuzzRequiredInPath(f *testing.F) {
	for _, seed := range []string{
		"/verify/-", "/verify/permission=a/-/b", "/verify/permission=%61/role=b/client=c/-/", "/verify//-/", "/verify/permission=%zz/-/", "/verify/permission/-",
		"/verify/permission=a=b/-/permission=c", "/verify/x=y/-", "/verify", "/verify/", "/verify/permission=a", "/verify/permission=a%2Fb/-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := authz.ParsePathRequirements(path)
		all := slices.Concat(got.Permissions, got.Roles, got.Clients)
		if err != nil && len(all) > 0 || slices.Contains(all, "") {
			t.Fatalf("%q: %v, %v", path, got, err)
		}
		if err != nil {
			return
		}
		same, err := authz.ParsePathRequirements(path + "/permissions=x/-/role=y")
		if err != nil || !slices.Equal(same.Permissions, got.Permissions) || !slices.Equal(same.Roles, got.Roles) || !slices.Equal(same.Clients, got.Clients) {
			t.Errorf("%q: %v with another path behind it, and %v without: %v", path, same, got, err)
		}
	})
}
