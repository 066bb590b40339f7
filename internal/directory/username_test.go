package directory_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/verify"
)

func TestUsername_ComparedInComposedForm(t *testing.T) {
	userSync := &directory.UserSync{Index: &verify.Index{}, Directory: &login.Directory{}}
	userSync.UserHandler().OnAdd(&v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: "juergen", UID: "first"}, Spec: v1alpha1.UserSpec{Username: "ju\u0308rgen", State: v1alpha1.StateActive},
	}, false)
	if u, there := userSync.Directory.ByUsername("j\u00fcrgen"); !there || u.Name != "juergen" {
		t.Errorf("found %q, %v", u.Name, there)
	}
}

func TestPassword_ByteOrderMarkIsUnreadable(t *testing.T) {
	for how, c := range map[string]struct {
		text string
		want v1alpha1.PasswordForm
	}{
		"a line end of Windows":    {"hunter2\r\n", v1alpha1.PasswordPlain},
		"a byte order mark before": {"\ufeffhunter2", v1alpha1.PasswordUnreadable},
		"a byte order mark after":  {"hunter2\ufeff\n", v1alpha1.PasswordUnreadable},
	} {
		_, _, form, problem := directory.ReadPassword(&corev1.Secret{Data: map[string][]byte{directory.KeyPassword: []byte(c.text)}})
		if form != c.want {
			t.Errorf("%s is %s", how, form)
		}
		if problem != nil && (!strings.Contains(problem.Error(), "byte order mark") || strings.Contains(problem.Error(), "hunter2")) {
			t.Errorf("%s: %v", how, problem)
		}
	}
}
