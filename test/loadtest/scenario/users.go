package scenario

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/argon2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

const (
	// UsersPerHash is how many users share a hash. It is so large that none reaches the limits of
	// a name.
	UsersPerHash = 512
	// UserPassword is the password of every user.
	UserPassword = "correct horse battery staple"
	// LoginsPerUser is how many logins a user has in an index. A Client allows as many by default.
	LoginsPerUser = 20
)

// Hashing is a way to hash passwords. Its users share one Secret.
type Hashing struct {
	UserPrefix string // prefix of their names
	SecretName string // name of their Secret
	Label      string
	hash       func() (string, error)
	Goal       *report.Goal // for logins relative to the bare hash; nil: none
}

// StrongHash takes most of the time of a login.
var StrongHash = Hashing{
	"strong", "password-strong", "argon2id m=64 MiB t=3 p=4",
	func() (string, error) { return argon2id(64<<10, 3, 4) }, report.AtLeast(0.9), // RFC 9106, 4: the second recommended option
}

// UsualHash takes so little that the writes show beside it.
var UsualHash = Hashing{
	"usual", "password-usual", "argon2id m=19 MiB t=2 p=1",
	func() (string, error) { return password.Hash(password.NewSecret(UserPassword), rand.Reader) }, nil,
}

// QuickHash takes almost no time, so that only the rest is measured.
var QuickHash = Hashing{
	"quick", "password-quick", "argon2id m=8 KiB t=1 p=1",
	func() (string, error) { return argon2id(8, 1, 1) }, nil,
}

// argon2id returns a hash of the users' password in PHC form.
func argon2id(kiB, passes uint32, lanes uint8) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", kiB, passes, lanes,
		b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(UserPassword), salt, passes, kiB, lanes, 32))), nil
}

// User returns the name of user i of the hash.
func (h Hashing) User(i int) string { return fmt.Sprintf("%s-%02d", h.UserPrefix, i%UsersPerHash) }

// StorePassword creates the Secret with the password hash of h.
func StorePassword(ctx context.Context, s *testbed.Testbed, h Hashing) (password.Stored, error) {
	hash, err := h.hash()
	if err != nil {
		return password.Stored{}, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: testbed.OwnNamespace, Name: h.SecretName},
		StringData: map[string]string{"passwordHash": hash},
	}
	if err := s.Clients[0].Create(ctx, secret); err != nil {
		return password.Stored{}, fmt.Errorf("create Secret %s: %w", h.SecretName, err)
	}
	return password.ParseHash(hash)
}

// UserName returns the name of the user of login i.
func UserName(i int) string { return fmt.Sprintf("user-%05d", i/LoginsPerUser) }

// NewUser returns a User with an account at a client. Its password is in the Secret of the given
// name.
func NewUser(name, secret, client string) *v1alpha1.User {
	return &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.UserSpec{
			PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(secret)},
			Accounts:          []v1alpha1.Account{{Client: client, Roles: []v1alpha1.RoleName{"primary", "developer"}}},
		},
	}
}
