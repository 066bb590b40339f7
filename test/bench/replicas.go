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

// patienceAtDoors is how long a change may take to be known, before the measurement gives up.
const patienceAtDoors = time.Minute

// replicas are operators of one cluster, of which one is elected, and the doors of all.
type replicas struct {
	*stage
	all   []*operator
	doors []string
	goods *issues
}

// measureReplicas issues tokens and takes them away, and measures until when each replica says so.
func measureReplicas(ctx context.Context, b *bench) (err error) {
	s, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	r := &replicas{stage: s}
	defer func() {
		for _, o := range r.all {
			err = errors.Join(err, o.stop())
		}
	}()
	for i := range b.options.replicas {
		door, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		o, err := s.launch(ctx, fmt.Sprintf("replica-%d", i), "--leader-elect", "--plain-http", "--bind-address="+door, "--shutdown-delay=0s")
		if o != nil {
			r.all, r.doors = append(r.all, o), append(r.doors, door)
		}
		if err != nil {
			return err
		}
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if r.goods, err = followSecrets(watching, s); err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for i := range b.rounds {
		if i%100 == 0 {
			b.say("replicas: %d of %d", i, b.rounds)
		}
		if err := r.round(ctx, i, took); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	c := b.report.in(fmt.Sprintf("%d replicas, %d times each", len(r.all), b.rounds))
	for _, row := range []struct {
		name string
		most float64
	}{{issued, 100}, {revoked, 1000}, {suspended, 1000}, {deleted, 1000}} {
		c.add(row.name+", median", millis(percentile(took[row.name], 50)), "ms")
		c.goal(row.name+", p99", millis(percentile(took[row.name], 99)), "ms", atMost(row.most))
		c.add(row.name+", longest", millis(percentile(took[row.name], 100)), "ms")
	}
	return nil
}

// What is measured, from the answer of whoever was told until the last replica says so.
const (
	issued    = "issued: from the Secret's appearance until good on all"
	revoked   = "revoked at one: until refused on all"
	suspended = "client suspended: until refused on all"
	deleted   = "ApplicationToken deleted: until refused on all"
)

// round is the life of one token.
func (r *replicas) round(ctx context.Context, i int, took map[string][]time.Duration) error {
	key := types.NamespacedName{Namespace: newNamespace, Name: fmt.Sprintf("replicated-%05d", i)}
	admin := r.clients[0]
	measure := func(what, text string, since time.Time, status int) error {
		if err := r.everywhere(ctx, text, status); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took[what] = append(took[what], time.Since(since))
		return nil
	}
	at := declare(key.Namespace, key.Name)
	if err := admin.Create(ctx, at); err != nil {
		return err
	}
	text, since, err := r.goods.after(ctx, key, "")
	if err != nil {
		return err
	}
	if err := measure(issued, text, since, http.StatusOK); err != nil {
		return err
	}

	if err := r.revoke(ctx, r.doors[i%len(r.doors)], text); err != nil {
		return err
	}
	if err := measure(revoked, text, time.Now(), http.StatusUnauthorized); err != nil {
		return err
	}
	if text, _, err = r.goods.after(ctx, key, text); err != nil { // it is replaced at once
		return err
	}
	if err := r.everywhere(ctx, text, http.StatusOK); err != nil {
		return err
	}

	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: clientName}}
	for _, state := range []string{"Suspended", "Active"} {
		if err := admin.Patch(ctx, c, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"state":"`+state+`"}}`))); err != nil {
			return err
		}
		if state == "Suspended" {
			err = measure(suspended, text, time.Now(), http.StatusUnauthorized)
		} else {
			err = r.everywhere(ctx, text, http.StatusOK)
		}
		if err != nil {
			return err
		}
	}
	if err := admin.Delete(ctx, at); err != nil {
		return err
	}
	return measure(deleted, text, time.Now(), http.StatusUnauthorized)
}

// everywhere asks at each door, again and again, until each has answered so.
func (r *replicas) everywhere(ctx context.Context, text string, status int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patienceAtDoors, fmt.Errorf("a door did not answer %d within %s", status, patienceAtDoors))
	defer cancel()
	errs := make([]error, len(r.doors))
	var asking sync.WaitGroup
	for i, door := range r.doors {
		asking.Go(func() {
			for errs[i] == nil {
				var got int
				if got, errs[i] = present(ctx, http.MethodGet, "http://"+door+"/verify", text, ""); errs[i] != nil || got == status {
					return
				}
				errs[i] = errors.Join(r.all[i].alive(), pause(ctx, time.Millisecond))
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

func (r *replicas) revoke(ctx context.Context, door, text string) error {
	status, err := present(ctx, http.MethodPost, "http://"+door+"/oauth2/revoke", "", url.Values{"token": {text}}.Encode())
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the revocation is answered by %d", status)
	}
	return err
}

func present(ctx context.Context, method, url, text, form string) (int, error) {
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

// issues are the tokens in Secrets, and when they were first seen there.
type issues struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]issue
	told chan struct{} // closed at the next
}

type issue struct {
	text string
	at   time.Time
}

// followSecrets watches the Secrets.
func followSecrets(ctx context.Context, s *stage) (*issues, error) {
	w, err := s.admin.CoreV1().Secrets(newNamespace).Watch(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelManaged + "=true"})
	if err != nil {
		return nil, err
	}
	all := &issues{seen: map[types.NamespacedName]issue{}, told: make(chan struct{})}
	go func() {
		for event := range w.ResultChan() {
			secret, ok := event.Object.(*corev1.Secret)
			if !ok {
				continue
			}
			all.mu.Lock()
			key := client.ObjectKeyFromObject(secret)
			if text := string(secret.Data["token"]); all.seen[key].text != text {
				all.seen[key] = issue{text, time.Now()}
				close(all.told)
				all.told = make(chan struct{})
			}
			all.mu.Unlock()
		}
	}()
	return all, nil
}

// after waits for a token in a Secret that is another than before.
func (x *issues) after(ctx context.Context, key types.NamespacedName, before string) (string, time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patienceAtDoors, fmt.Errorf("there was no token in Secret %s within %s", key, patienceAtDoors))
	defer cancel()
	for {
		x.mu.Lock()
		is, told := x.seen[key], x.told
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

func millis(d time.Duration) float64 { return micro(d) / 1000 }
