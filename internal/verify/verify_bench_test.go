package verify_test

import (
	"testing"

	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

func BenchmarkIndex_Verify(b *testing.B) {
	w := newFixture(b)
	facts := verify.Facts{Permissions: []string{"search.query"}, Roles: []string{"primary"}}
	for what, text := range map[string]string{
		"valid":     w.tok.Reveal(),
		"unknown":   verifytest.Mint(b, token.Application, "outsider").Reveal(),
		"malformed": "no token",
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Verify(noon, text, facts)
			}
		})
	}
}
