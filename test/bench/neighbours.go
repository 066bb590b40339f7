package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

const (
	hostileNamespace = "bench-hostile"
	// hostileTargets are the restart targets of each hostile token. None of them exists.
	hostileTargets = 16
)

// measureNeighbours compares how long new tokens take from declared to Ready alone and beside a namespace that asks for as much
// work as it may: its tokens rotate as often as the Client allows, have restart targets that are missing, and are declared and
// rotated by trigger as fast as one tenant can.
func measureNeighbours(ctx context.Context, b *bench) error {
	s, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	if err := s.startOperator(ctx); err != nil {
		return err
	}
	if err := s.clients[0].Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hostileNamespace}}); err != nil {
		return fmt.Errorf("create namespace %s: %w", hostileNamespace, err)
	}
	alone, err := b.neighbour(ctx, s, "alone")
	if err != nil {
		return err
	}
	hostile, stop := context.WithCancel(ctx)
	rotated, ended := 0, make(chan error)
	go func() {
		var err error
		rotated, err = b.harass(hostile, s)
		ended <- err
	}()
	if _, err := s.tokens.wait(ctx, "Ready in the hostile namespace", b.hostile/10, isReady); err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	beside, err := b.neighbour(ctx, s, "beside")
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	r := b.report.in("neighbours")
	r.add("tokens of the hostile namespace", float64(b.hostile), "tokens")
	r.add("of which were rotated meanwhile by trigger", float64(rotated), "rotations")
	r.beside("from declared to Ready, median, beside that alone", percentile(beside.took, 50).Seconds(), "s", percentile(alone.took, 50).Seconds(), nil)
	r.beside("from declared to Ready, p99, beside that alone", percentile(beside.took, 99).Seconds(), "s", percentile(alone.took, 99).Seconds(), below(2))
	return nil
}

// neighbour declares tokens for a while and measures how long each takes.
func (b *bench) neighbour(ctx context.Context, s *stage, name string) (*probe, error) {
	p := s.probe(ctx, name)
	err := pause(ctx, b.idle)
	return p, errors.Join(err, p.end(ctx))
}

// harass declares the hostile tokens and then changes their triggers, one after the other, until ctx ends.
func (b *bench) harass(ctx context.Context, s *stage) (rotated int, err error) {
	c := s.clients[len(s.clients)-1]
	for i := 0; ctx.Err() == nil; i++ {
		at := declare(hostileNamespace, nameOf(i%b.hostile))
		if i < b.hostile {
			at.Spec.Rotation.Every = "10m"
			at.Spec.Rotation.Retire = &v1alpha1.Retire{When: v1alpha1.RetireAfterOverlap, MinOverlap: "0s", MaxOverlap: "1s"}
			for n := range hostileTargets {
				at.Spec.Restart = append(at.Spec.Restart, v1alpha1.RestartTarget{
					Kind: v1alpha1.RestartDeployment, Name: v1alpha1.ObjectName(fmt.Sprintf("missing-%d", n)),
				})
			}
			err = c.Create(ctx, at)
		} else {
			rotated++
			patch := fmt.Sprintf(`{"spec":{"rotation":{"trigger":%q}}}`, time.Now().Format(time.RFC3339Nano))
			err = c.Patch(ctx, at, client.RawPatch("application/merge-patch+json", []byte(patch)))
		}
		if err != nil && ctx.Err() == nil {
			return rotated, fmt.Errorf("the hostile namespace: %w", err)
		}
	}
	return rotated, nil
}
