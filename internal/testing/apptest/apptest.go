package apptest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app/leaderelection"
	"github.com/apptoken/operator/internal/token"
)

// minLeakLength is the length of the shortest part of a token that counts as a leak.
const minLeakLength = 16

// MintToken returns the plaintext of a new token of a kind.
func MintToken(t testing.TB, kind token.Kind) string {
	t.Helper()
	tok, err := token.Mint(kind, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tok.Reveal()
}

// AssertNoToken asserts that a text contains no piece of the token, nor of its base64 from any
// offset.
func AssertNoToken(t testing.TB, text, plain string) {
	t.Helper()
	forms := []string{plain}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			forms = append(forms, encoding.EncodeToString([]byte(plain[before:before+(len(plain)-before)/3*3])))
		}
	}
	for _, form := range forms {
		for at := 0; at+minLeakLength <= len(form); at++ {
			if strings.Contains(text, form[at:at+minLeakLength]) {
				t.Errorf("a piece of the token, %q, is in\n%s", form[at:at+minLeakLength], text)
				return
			}
		}
	}
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return holds(ctx), nil
	})
	if err != nil {
		t.Fatalf("waited in vain until %s: %v", what, err)
	}
}

// NewNamespace creates a namespace for a test.
func NewNamespace(t testing.TB, api client.Client) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"}}
	if err := api.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// SetLeaseHolder gives the Lease to another holder, which does not renew it; with "", to the first
// replica that takes it.
func SetLeaseHolder(t testing.TB, api client.Client, namespace, to string) {
	t.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: leaderelection.LeaseName}}
	patch := fmt.Appendf(nil, `{"spec":{"holderIdentity":%q,"leaseDurationSeconds":3600}}`, to)
	if err := api.Patch(t.Context(), lease, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
}
