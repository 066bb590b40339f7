package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

func TestRotate_NoUseFails(t *testing.T) { // [row 22]
	w := newSharedTenant(t)
	const rotations, workers = 24, 3 // three in each overlap: a further one waits
	w.declareToken("indexer", `{rotation: {trigger: "1", retire: {when: AfterOverlap, minOverlap: 0s, maxOverlap: 3s}}, secret: {data: {token: "{{ .Token }}", version: "{{ .Version }}"}}}`)
	w.waitReady("indexer")

	ctx, stop := context.WithCancel(t.Context())
	var use sync.WaitGroup
	var checks, lookups atomic.Int64
	var reached [workers]atomic.Int64
	for n := range workers {
		use.Go(func() {
			for ctx.Err() == nil {
				version, looked, err := w.verifyFromSecret(ctx)
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				reached[n].Store(version)
				checks.Add(1)
				lookups.Add(looked)
			}
		})
	}
	began := time.Now()
	for n := range rotations {
		w.editToken("indexer", fmt.Sprintf(`{rotation: {trigger: again-%d}}`, n))
		w.eventually("the Secret holds the next version", func(ctx context.Context) bool {
			var s corev1.Secret
			return admin.Get(ctx, client.ObjectKey{Namespace: w.name, Name: "indexer"}, &s) == nil && string(s.Data["version"]) == strconv.Itoa(n+2)
		})
	}
	took := time.Since(began)
	for n := range reached {
		w.eventually("every worker is on the last version", func(context.Context) bool { return t.Failed() || reached[n].Load() == rotations+1 })
	}
	stop()
	use.Wait()
	t.Logf("%d rotations in %s; %d checks by %d workers, none refused; %d of them found a version that the index had yet to hear of",
		rotations, took.Round(time.Millisecond), checks.Load(), workers, lookups.Load())
}

// verifyFromSecret reads the Secret as a workload does, and verifies its token as an endpoint does:
// by the index, or, if the index does not know the digest, by one read of the record store.
func (w *tenant) verifyFromSecret(ctx context.Context) (version, looked int64, err error) {
	var s corev1.Secret
	key := client.ObjectKey{Namespace: w.name, Name: "indexer"}
	if err := admin.Get(ctx, key, &s); err != nil {
		return 0, 0, err
	}
	_, d, err := token.DigestOf(string(s.Data["token"]))
	if err != nil {
		return 0, 0, err
	}
	if version, err = strconv.ParseInt(string(s.Data["version"]), 10, 64); err != nil {
		return 0, 0, err
	}
	if w.isAccepted(d) {
		return version, 0, nil
	}
	_, err = kube.New(admin, admin, systemNamespace).Find(ctx, d)
	if err == nil {
		return version, 1, nil
	}
	if !errors.Is(err, record.ErrGone) {
		return 0, 0, err
	}
	// Three predecessors are kept. A worker that was not scheduled for longer than that has to read
	// again.
	if err := admin.Get(ctx, key, &s); err != nil {
		return 0, 0, err
	}
	if now, err := strconv.ParseInt(string(s.Data["version"]), 10, 64); err == nil && now > version+3 {
		return version, 0, nil
	}
	return version, 0, fmt.Errorf("version %d, just read from the Secret, is refused", version)
}
