package result_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/controllers/result"
)

func TestRetryDelay_DoublesUpToBound(t *testing.T) {
	want := []time.Duration{1, 2, 4, 8, 16, 32, 32, 32}
	for i, w := range want {
		if got := result.RetryDelay(i + 1); got != w*time.Minute {
			t.Errorf("the delay after %d failures is %s, want %s", i+1, got, w*time.Minute)
		}
	}
}
