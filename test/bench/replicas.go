package main

import (
	"context"
)

func measureReplicas(ctx context.Context, b *bench) error {
	return nil
}
