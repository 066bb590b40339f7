package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login/password"
)

// Keys of the Secret of a password.
const (
	KeyPasswordHash = "passwordHash" // argon2id in PHC form, or bcrypt
	KeyPassword     = "password"     // in plain text
)

// CachedPasswordSecret reads the Secret of a password from a cache; nil: there is none.
func CachedPasswordSecret(ctx context.Context, passwords client.Reader, namespace, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := passwords.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the Secret of the password: %w", err)
	}
	return &s, nil
}

// ReadPassword reads the password in a Secret, and a fingerprint that changes with it. The
// fingerprint is empty if there is no password to check against.
func ReadPassword(s *corev1.Secret) (stored password.Stored, fingerprint string, form v1alpha1.PasswordForm, problem error) {
	if s == nil {
		return password.Stored{}, "", v1alpha1.PasswordMissing, nil
	}
	if hash := s.Data[KeyPasswordHash]; len(hash) > 0 {
		stored, err := password.ParseHash(string(hash))
		if err != nil {
			return password.Stored{}, "", v1alpha1.PasswordUnreadable, err
		}
		return stored, stored.Fingerprint(), v1alpha1.PasswordHashed, nil
	}
	if plain := s.Data[KeyPassword]; len(plain) > 0 {
		stored, err := password.ParsePlain(string(plain))
		if err != nil {
			return password.Stored{}, "", v1alpha1.PasswordUnreadable, err
		}
		// A fingerprint of a plain password could be guessed at, so none is made: each change of
		// the Secret counts.
		sum := sha256.Sum256([]byte("Secret " + string(s.UID) + " " + s.ResourceVersion))
		return stored, hex.EncodeToString(sum[:16]), v1alpha1.PasswordPlain, nil
	}
	return password.Stored{}, "", v1alpha1.PasswordMissing, nil
}
