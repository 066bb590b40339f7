package password_test

import (
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
	xbcrypt "golang.org/x/crypto/bcrypt"

	"github.com/apptoken/operator/internal/login/password"
)

func BenchmarkCheck(b *testing.B) {
	secret := parseSecret(b, "wrong")
	v := loadVectors(b)
	for how, stored := range map[string]password.Stored{
		"argon2id/m=19456,t=2,p=1": hash(b, v[1].Hash), "argon2id/m=65536,t=3,p=4": hash(b, v[0].Hash), "argon2id/worst": hash(b, hashWithCosts("m=262144,t=4,p=1")),
		"bcrypt/5": hash(b, v[6].Hash), "bcrypt/10": hash(b, v[7].Hash), "bcrypt/worst": hash(b, crypt[:4]+"14"+crypt[6:]), "plain": plain(b, "x"),
	} {
		b.Run(how, func(b *testing.B) {
			checker := password.NewChecker(password.Options{Slots: 1})
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := checker.Check(b.Context(), password.Check{Stored: stored, Presented: secret}); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// BenchmarkBareHash measures the hashes alone, for comparison with BenchmarkCheck.
func BenchmarkBareHash(b *testing.B) {
	b.Run("argon2id/m=19456,t=2,p=1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			xargon2.IDKey([]byte("wrong"), []byte("0123456789abcdef"), 2, 19456, 1, 32)
		}
	})
	b.Run("bcrypt/5", func(b *testing.B) {
		b.ReportAllocs()
		of := []byte(loadVectors(b)[6].Hash)
		for b.Loop() {
			if xbcrypt.CompareHashAndPassword(of, []byte("wrong")) == nil {
				b.Fatal("it matches")
			}
		}
	})
}

func BenchmarkParseHash(b *testing.B) {
	for how, text := range map[string]string{"argon2id": argon2, "bcrypt": crypt} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := password.ParseHash(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLimits(b *testing.B) {
	l := password.NewLimits(password.LimitOptions{Burst: 5, Every: 1, Keys: 1000})
	for b.Loop() {
		if _, ok := l.Allowed(noon, "alice"); ok {
			l.Spend(noon, "alice")
		}
	}
}
