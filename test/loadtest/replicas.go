package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// maxPropagation is how long a change may take to reach a Secret or all replicas. After that the
// measurement fails.
const maxPropagation = time.Minute

// replicas are the operators of one cluster, of which one leads, and the endpoints of all.
type replicas struct {
	*testbed
	all          []*operator
	endpoints    []string
	secretTokens *secretWatch
}

// measureReplicas issues tokens and invalidates them in several ways. It measures how long it takes
// until the last replica answers accordingly.
func measureReplicas(ctx context.Context, b *bench) (err error) {
	s, err := b.newTestbed(ctx)
	if err != nil {
		return err
	}
	r := &replicas{testbed: s}
	defer func() {
		for _, o := range r.all {
			err = errors.Join(err, o.stop())
		}
	}()
	for i := range b.options.replicas {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		r.all, r.endpoints = append(r.all, nil), append(r.endpoints, address)
		if err := r.startReplica(ctx, i); err != nil {
			return err
		}
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if r.secretTokens, err = followSecrets(watching, s); err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for i := range b.rounds {
		if i%100 == 0 {
			b.logf("replicas: %d of %d", i, b.rounds)
		}
		if err := r.round(ctx, i, took); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	c := b.report.section(fmt.Sprintf("%d replicas, %d times each", len(r.all), b.rounds))
	for _, row := range []struct {
		name string
		most float64
	}{{issuedRow, 100}, {revokedRow, 1000}, {suspendedRow, 1000}, {deletedRow, 1000}} {
		c.add(row.name+", median", milliseconds(percentile(took[row.name], 50)), "ms")
		c.addGoal(row.name+", p99", milliseconds(percentile(took[row.name], 99)), "ms", atMost(row.most))
		c.add(row.name+", longest", milliseconds(percentile(took[row.name], 100)), "ms")
	}
	if len(r.all) == 1 {
		return nil // no other replica could take over
	}
	return r.takeovers(ctx, b)
}

// startReplica starts replica i.
func (r *replicas) startReplica(ctx context.Context, i int) (err error) {
	r.all[i], err = r.launch(ctx, fmt.Sprintf("replica-%d", i), "--leader-elect", "--plain-http", "--bind-address="+r.endpoints[i], "--shutdown-delay=0s")
	return err
}

// maxTakeover is the longest pause that docs/operations.md promises after a leader was killed.
const maxTakeover = 13 * time.Second

// takeovers ends the leader, gracefully and by force. It measures how long a rotation takes that is
// triggered once the leader has ended.
func (r *replicas) takeovers(ctx context.Context, b *bench) error {
	ends := []struct {
		name string
		end  func(*operator) error
		most time.Duration
	}{{"leader ends in order", (*operator).stop, 4 * time.Second}, {"leader is killed", (*operator).kill, maxTakeover}}
	c := b.report.section(fmt.Sprintf("takeovers, %d times each", b.options.takeovers))
	for n, how := range ends {
		var took []time.Duration
		for i := range b.options.takeovers {
			b.logf("replicas: %s, %d of %d", how.name, i, b.options.takeovers)
			d, err := r.takeover(ctx, fmt.Sprintf("takeover-%d-%d", n, i), how.end)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", how.name, i, err)
			}
			took = append(took, d)
		}
		c.add(how.name+": until a rotation triggered then is in the Secret, median", percentile(took, 50).Seconds(), "s")
		c.addGoal(how.name+": longest", percentile(took, 100).Seconds(), "s", atMost(how.most.Seconds()))
	}
	return nil
}

func (r *replicas) takeover(ctx context.Context, name string, end func(*operator) error) (time.Duration, error) {
	at := newToken(newNamespace, name)
	if err := r.clients[0].Create(ctx, at); err != nil {
		return 0, err
	}
	key := client.ObjectKeyFromObject(at)
	text, _, err := r.secretTokens.after(ctx, key, "")
	if err != nil {
		return 0, err
	}
	leader, err := r.leader(ctx)
	if err != nil {
		return 0, err
	}
	if err := end(r.all[leader]); err != nil {
		return 0, err
	}
	ended := time.Now()
	if err := r.clients[0].Patch(ctx, at, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rotation":{"trigger":"2"}}}`))); err != nil {
		return 0, err
	}
	_, rotated, err := r.secretTokens.after(ctx, key, text)
	if err != nil {
		return 0, err
	}
	return rotated.Sub(ended), r.startReplica(ctx, leader)
}

// leader returns the number of the replica that leads: the only one that counts tokens.
func (r *replicas) leader(ctx context.Context) (int, error) {
	for i, o := range r.all {
		tokens, err := o.metric(ctx, "apptoken_tokens", "")
		if err != nil {
			return 0, err
		}
		if tokens > 0 {
			return i, nil
		}
	}
	return 0, errors.New("no replica leads")
}

// The rows of the report. A time begins with the response to the caller that made the change, or
// with the event of the Secret. It ends when the last replica answers accordingly.
const (
	issuedRow    = "issued: from the Secret's appearance until good on all"
	revokedRow   = "revoked at one: until refused on all"
	suspendedRow = "client suspended: until refused on all"
	deletedRow   = "ApplicationToken deleted: until refused on all"
)

// round measures one token from its issue to its deletion.
func (r *replicas) round(ctx context.Context, i int, took map[string][]time.Duration) error {
	key := types.NamespacedName{Namespace: newNamespace, Name: fmt.Sprintf("replicated-%05d", i)}
	admin := r.clients[0]
	measure := func(what, text string, since time.Time, status int) error {
		if err := r.waitAll(ctx, text, status); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took[what] = append(took[what], time.Since(since))
		return nil
	}
	at := newToken(key.Namespace, key.Name)
	if err := admin.Create(ctx, at); err != nil {
		return err
	}
	text, since, err := r.secretTokens.after(ctx, key, "")
	if err != nil {
		return err
	}
	if err := measure(issuedRow, text, since, http.StatusOK); err != nil {
		return err
	}

	if err := r.revoke(ctx, r.endpoints[i%len(r.endpoints)], text); err != nil {
		return err
	}
	if err := measure(revokedRow, text, time.Now(), http.StatusUnauthorized); err != nil {
		return err
	}
	if text, _, err = r.secretTokens.after(ctx, key, text); err != nil { // a revoked token is replaced at once
		return err
	}
	if err := r.waitAll(ctx, text, http.StatusOK); err != nil {
		return err
	}

	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: clientName}}
	for _, state := range []string{"Suspended", "Active"} {
		if err := admin.Patch(ctx, c, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"state":"`+state+`"}}`))); err != nil {
			return err
		}
		if state == "Suspended" {
			err = measure(suspendedRow, text, time.Now(), http.StatusUnauthorized)
		} else {
			err = r.waitAll(ctx, text, http.StatusOK)
		}
		if err != nil {
			return err
		}
	}
	if err := admin.Delete(ctx, at); err != nil {
		return err
	}
	return measure(deletedRow, text, time.Now(), http.StatusUnauthorized)
}

// waitAll polls the endpoint of every replica until each has answered with the status.
func (r *replicas) waitAll(ctx context.Context, text string, status int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxPropagation, fmt.Errorf("an endpoint did not answer %d within %s", status, maxPropagation))
	defer cancel()
	errs := make([]error, len(r.endpoints))
	var asking sync.WaitGroup
	for i, address := range r.endpoints {
		asking.Go(func() {
			for errs[i] == nil {
				var got int
				if got, errs[i] = presentToken(ctx, http.MethodGet, "http://"+address+"/verify", text, ""); errs[i] != nil || got == status {
					return
				}
				errs[i] = errors.Join(r.all[i].checkAlive(), sleep(ctx, time.Millisecond))
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

func (r *replicas) revoke(ctx context.Context, address, text string) error {
	status, err := presentToken(ctx, http.MethodPost, "http://"+address+"/oauth2/revoke", "", url.Values{"token": {text}}.Encode())
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the revocation is answered by %d", status)
	}
	return err
}

func presentToken(ctx context.Context, method, url, text, form string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form))
	if err != nil {
		return 0, err
	}
	if text != "" {
		request.Header.Set("Authorization", "Bearer "+text)
	}
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

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
func followSecrets(ctx context.Context, s *testbed) (*secretWatch, error) {
	w, err := s.admin.CoreV1().Secrets(newNamespace).Watch(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelManaged + "=true"})
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
		is, told := x.tokens[key], x.changed
		x.mu.Unlock()
		if is.text != before {
			return is.text, is.at, nil
		}
		select {
		case <-told:
		case <-ctx.Done():
			return "", time.Time{}, context.Cause(ctx)
		}
	}
}

func milliseconds(d time.Duration) float64 { return microseconds(d) / 1000 }
