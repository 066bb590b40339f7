package replicas

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// secretWatch holds the tokens in Secrets, and when each was first observed.
type secretWatch struct {
	mu      sync.Mutex
	tokens  map[types.NamespacedName]observedToken
	changed chan struct{} // closed at the next change
}

type observedToken struct {
	text string
	at   time.Time
}

// followSecrets watches the Secrets of new tokens until ctx ends.
func followSecrets(ctx context.Context, s *testbed.Testbed) (*secretWatch, error) {
	w, err := s.Admin.CoreV1().Secrets(testbed.ProbeNamespace).Watch(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelManaged + "=true"})
	if err != nil {
		return nil, err
	}
	all := &secretWatch{tokens: map[types.NamespacedName]observedToken{}, changed: make(chan struct{})}
	go func() {
		for event := range w.ResultChan() {
			secret, ok := event.Object.(*corev1.Secret)
			if !ok {
				continue
			}
			all.mu.Lock()
			key := client.ObjectKeyFromObject(secret)
			if text := string(secret.Data["token"]); all.tokens[key].text != text {
				all.tokens[key] = observedToken{text, time.Now()}
				close(all.changed)
				all.changed = make(chan struct{})
			}
			all.mu.Unlock()
		}
	}()
	return all, nil
}

// after waits until a Secret holds another token than before. It returns the token and when it was
// observed.
func (x *secretWatch) after(ctx context.Context, key types.NamespacedName, before string) (string, time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxPropagation, fmt.Errorf("there was no token in Secret %s within %s", key, maxPropagation))
	defer cancel()
	for {
		x.mu.Lock()
		current, changed := x.tokens[key], x.changed
		x.mu.Unlock()
		if current.text != before {
			return current.text, current.at, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", time.Time{}, context.Cause(ctx)
		}
	}
}
