package e2e_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// basicStatus presents a name and a password at /verify.
func (p *loginUser) basicStatus(ctx context.Context, name, text string) int {
	header := http.Header{
		"Authorization":   {"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+text))},
		"X-Forwarded-For": {"192.0.2.1"},
	}
	a, err := p.sendRequest(ctx, "bind-address", http.MethodGet, "/verify/client="+p.name+"/-", header, "")
	if err != nil {
		return 0
	}
	return a.status
}

// A client opts in. A recent check of the password ends within a second of what ends the user.
func TestBasic_FollowsClientUserAndPassword(t *testing.T) {
	op := startOperator(t, defaultOptions())
	loginAddress(t, op)
	for sentence, end := range map[string]func(*loginUser){
		"the client forbids it": func(p *loginUser) { p.editClient(`{logins: {basic: Forbid}}`) },
		"the user is suspended": func(p *loginUser) { p.editUser(`{state: Suspended}`) },
		"the user is deleted": func(p *loginUser) {
			p.must(admin.Delete(t.Context(), &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: p.user}}))
		},
		"the account is gone": func(p *loginUser) { p.editUser(`{accounts: null}`) },
		"the password changes": func(p *loginUser) {
			other := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: p.user}}
			before := other.DeepCopy()
			other.Data = map[string][]byte{"passwordHash": []byte(hashPassword(t, newPassword(t)))}
			p.must(admin.Patch(t.Context(), &other, client.MergeFrom(before)))
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := newTenant(t, op).newUser("alice")
			p.waitKnown()
			if got := p.basicStatus(t.Context(), p.username, p.password); got != http.StatusUnauthorized {
				t.Errorf("before the client allows it: %d", got)
			}
			p.editClient(`{logins: {basic: Allow}}`)
			p.eventually("Basic is accepted", func(ctx context.Context) bool {
				return p.basicStatus(ctx, p.username, p.password) == http.StatusOK
			})
			end(p)
			since := time.Now()
			if err := p.poll(time.Until(since.Add(maxRevocationDelay)), func(ctx context.Context) bool {
				return p.basicStatus(ctx, p.username, p.password) != http.StatusOK
			}); err != nil {
				t.Errorf("it is still accepted: %v", err)
			}
		})
	}
}
