package app

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// answers is a Lease whose reads and writes end as told.
type answers struct {
	resourcelock.Interface
	holder string
	err    error
}

func (a *answers) Identity() string { return "us" }

func (a *answers) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{HolderIdentity: a.holder}, nil, a.err
}

func (a *answers) Update(context.Context, resourcelock.LeaderElectionRecord) error { return a.err }

func TestLease_KeptInAnOutageAlone(t *testing.T) {
	away := errors.New("connection refused")
	conflict := apierrors.NewConflict(corev1.Resource("leases"), "apptoken-operator", errors.New("another holder"))
	busy := apierrors.NewServiceUnavailable("out of order")
	for name, x := range map[string]struct {
		holder, wanted string
		err            error
		kept           bool
	}{
		"held, and the API server is away":         {"us", "us", away, true},
		"held, and the API server is out of order": {"us", "us", busy, true},
		"held, and the API server refuses":         {"us", "us", conflict, false},
		"held by another":                          {"them", "us", away, false},
		"held by nobody":                           {"", "us", away, false},
		"released, and the API server is away":     {"us", "", away, false},
		"held, and everything is as it should be":  {"us", "us", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answers{holder: x.holder}
			l := &lease{Interface: a}
			if _, _, err := l.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.err = x.err
			if err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: x.wanted}); (err == nil) != x.kept {
				t.Errorf("%v", err)
			}
		})
	}
}
