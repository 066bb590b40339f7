package testbed

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// DeclareAll declares all tokens.
func (s *Testbed) DeclareAll(ctx context.Context) error {
	return s.InParallel(ctx, "apply", s.Config.Tokens, func(ctx context.Context, c client.Client, i int) error {
		return c.Create(ctx, NewToken(TokenNamespace(i), TokenName(i)))
	})
}

// PatchAll applies the same patch to all tokens.
func (s *Testbed) PatchAll(ctx context.Context, what, merge string) error {
	return s.InParallel(ctx, what, s.Config.Tokens, func(ctx context.Context, c client.Client, i int) error {
		at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: TokenNamespace(i), Name: TokenName(i)}}
		return c.Patch(ctx, at, client.RawPatch("application/merge-patch+json", []byte(merge)))
	})
}

// NewToken returns a token as an application team declares it. Its predecessors stay for a day, so
// that none is retired during the measurement.
func NewToken(namespace, name string) *v1alpha1.ApplicationToken {
	return &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef:   &v1alpha1.Reference{Name: ClientName},
			Roles:       []v1alpha1.RoleName{"primary", "developer"},
			Permissions: []v1alpha1.Permission{"search.query", "sec.continuous.rest"},
			Lifetime:    "2160h",
			Rotation: v1alpha1.Rotation{
				Every: "720h", Trigger: "1",
				Retire: &v1alpha1.Retire{When: v1alpha1.RetireAfterOverlap, MinOverlap: "0s", MaxOverlap: "24h"},
			},
		},
	}
}

// TokenNamespace returns the namespace of token i.
func TokenNamespace(i int) string { return fmt.Sprintf("bench-%d", i%namespaceCount) }

// TokenName returns the name of token i.
func TokenName(i int) string { return fmt.Sprintf("token-%05d", i) }
