package verify_test

import (
	"testing"

	"github.com/apptoken/operator/internal/verify"
)

func TestIndex_ItemIsTwoCacheLines(t *testing.T) {
	if verify.ItemSize != 128 {
		t.Errorf("it has %d bytes; beyond 128 it lies across three lines, and each costs as much as the digest", verify.ItemSize)
	}
}

func TestIndex_LoginIsOneCacheLine(t *testing.T) {
	if verify.LoginSize != 64 {
		t.Errorf("it has %d bytes; beyond 64 it lies across two lines", verify.LoginSize)
	}
}
