package directory_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/verify"
)

// Basic is accepted while a client that is not suspended allows it.
func TestClients_AllowBasic(t *testing.T) {
	index := &verify.Index{}
	h := directory.NewClientHandler(index, &login.Directory{})
	verifier := verify.NewVerifier(index, nil, verify.Options{LookupsPerSecond: 1, Now: time.Now})
	clientOf := func(name string, basic v1alpha1.BasicAuthentication, state v1alpha1.State) *v1alpha1.Client {
		return &v1alpha1.Client{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.ClientSpec{State: state, Logins: v1alpha1.LoginPolicy{Basic: basic}},
		}
	}
	for _, step := range []struct {
		name   string
		client *v1alpha1.Client // nil: acme is deleted
		want   bool
	}{
		{"no field", clientOf("acme", "", v1alpha1.StateActive), false},
		{"allowed", clientOf("acme", v1alpha1.BasicAllow, v1alpha1.StateActive), true},
		{"allowed, again", clientOf("acme", v1alpha1.BasicAllow, v1alpha1.StateActive), true},
		{"another one forbids it", clientOf("umbrella", v1alpha1.BasicForbid, v1alpha1.StateActive), true},
		{"suspended", clientOf("acme", v1alpha1.BasicAllow, v1alpha1.StateSuspended), false},
		{"active again", clientOf("acme", v1alpha1.BasicAllow, v1alpha1.StateActive), true},
		{"forbidden", clientOf("acme", v1alpha1.BasicForbid, v1alpha1.StateActive), false},
		{"allowed, and another one too", clientOf("umbrella", v1alpha1.BasicAllow, v1alpha1.StateActive), true},
		{"deleted, but not the other one", nil, true},
		{"forbidden by the other one", clientOf("umbrella", "", v1alpha1.StateActive), false},
	} {
		if step.client == nil {
			h.OnDelete(clientOf("acme", v1alpha1.BasicForbid, v1alpha1.StateActive))
		} else {
			h.OnUpdate(step.client, step.client)
		}
		if verifier.AllowsBasic() != step.want {
			t.Errorf("%s: Basic is accepted: %t", step.name, !step.want)
		}
	}
}
