package operatortest

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

// NewLoginService returns another process of the operator that accepts logins. It has the state of
// when it starts.
func (w *Fixture) NewLoginService(twist func(*login.Options)) *login.Service {
	w.T.Helper()
	index, known := &verify.Index{}, &login.Directory{}
	userSync := &directory.UserSync{Index: index, Directory: known}
	var users v1alpha1.UserList
	var secrets corev1.SecretList
	var clients v1alpha1.ClientList
	w.Must(errors.Join(w.api.List(w.Ctx, &users), w.api.List(w.Ctx, &clients), w.api.List(w.Ctx, &secrets, client.InNamespace(w.OwnNamespace))))
	for i := range clients.Items {
		directory.NewClientHandler(index, known).OnAdd(&clients.Items[i], true)
	}
	for i := range secrets.Items {
		userSync.PasswordHandler().OnAdd(&secrets.Items[i], true)
	}
	for i := range users.Items {
		userSync.UserHandler().OnAdd(&users.Items[i], true)
	}
	c := ByIndexes(w.T, w.api)
	options := login.Options{
		Directory: known, Records: kube.New(c, c, w.OwnNamespace),
		OnEnded: func(token.Digest) {}, OnReplayed: func(login.User, record.Record, netip.Addr) {},
		MaxConcurrentChecks: 1, Entropy: rand.Reader, Now: func() time.Time { return w.Now },
	}
	if twist != nil {
		twist(&options)
	}
	return login.NewService(options)
}

// LogIn opens a login of a user at the client of this fixture.
func (w *Fixture) LogIn(s *login.Service, name string, t login.Terms) login.Opened {
	w.T.Helper()
	u, ok := s.Directory.User(w.UniqueUserName(name))
	c, there := s.Directory.Client(w.ClientName)
	if !ok || !there {
		w.T.Fatalf("the replica knows the user: %t, the client: %t", ok, there)
	}
	o, err := s.Open(w.Ctx, u, c, t)
	w.Must(err)
	return o
}

// HasRecord reports whether the record of that name exists.
func (w *Fixture) HasRecord(name string) bool {
	w.T.Helper()
	err := w.api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: name}, &v1alpha1.TokenRecord{})
	w.Must(client.IgnoreNotFound(err))
	return err == nil
}
