package applicationtoken_test

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// newLoginService returns another process of the operator that accepts logins. It has the state of
// when it starts.
func (w *fixture) newLoginService(twist func(*login.Options)) *login.Service {
	w.t.Helper()
	index, known := &verify.Index{}, &login.Directory{}
	people := &directory.UserSync{Index: index, Directory: known}
	var users v1alpha1.UserList
	var secrets corev1.SecretList
	var clients v1alpha1.ClientList
	w.must(errors.Join(api.List(w.ctx, &users), api.List(w.ctx, &clients), api.List(w.ctx, &secrets, client.InNamespace(w.ownNamespace))))
	for i := range clients.Items {
		directory.NewClientHandler(index, known).OnAdd(&clients.Items[i], true)
	}
	for i := range secrets.Items {
		people.PasswordHandler().OnAdd(&secrets.Items[i], true)
	}
	for i := range users.Items {
		people.UserHandler().OnAdd(&users.Items[i], true)
	}
	c := byIndexes(w.t, api)
	options := login.Options{
		Directory: known, Records: kube.New(c, c, w.ownNamespace),
		OnEnded: func(token.Digest) {}, OnReplayed: func(login.User, record.Record, netip.Addr) {},
		MaxConcurrentChecks: 1, Entropy: rand.Reader, Now: func() time.Time { return w.now },
	}
	if twist != nil {
		twist(&options)
	}
	return login.NewService(options)
}

// logIn opens a login of a user at the client of this fixture.
func (w *fixture) logIn(s *login.Service, name string, t login.Terms) login.Opened {
	w.t.Helper()
	u, ok := s.Directory.User(w.uniqueUserName(name))
	c, there := s.Directory.Client(w.clientName)
	if !ok || !there {
		w.t.Fatalf("the replica knows the user: %t, the client: %t", ok, there)
	}
	o, err := s.Open(w.ctx, u, c, t)
	w.must(err)
	return o
}

func (w *fixture) hasRecord(name string) bool {
	w.t.Helper()
	err := api.Get(w.ctx, types.NamespacedName{Namespace: w.ownNamespace, Name: name}, &v1alpha1.TokenRecord{})
	w.must(client.IgnoreNotFound(err))
	return err == nil
}
