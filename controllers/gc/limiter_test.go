package gc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/controllers/gc"
)

func TestGarbageCollectionRate_TwoThousandPerMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := gc.NewLimiter(gc.Rate, gc.Burst)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		deleted := 0
		for limiter.Wait(ctx) == nil {
			deleted++
		}
		if most := gc.Burst + 60*gc.Rate; deleted < most-1 || deleted > most {
			t.Errorf("%d records, want %d", deleted, most)
		}
	})
}
