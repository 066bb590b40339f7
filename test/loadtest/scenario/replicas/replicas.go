package replicas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// maxPropagation is how long a change may take to reach a Secret or all replicas. After that the
// measurement fails.
const maxPropagation = time.Minute

// replicaSet are the operators of one cluster, of which one leads, and the endpoints of all.
type replicaSet struct {
	*testbed.Testbed
	all          []*testbed.Operator
	endpoints    []string
	secretTokens *secretWatch
}

// MeasureReplicas issues tokens and invalidates them in several ways. It measures how long it takes
// until the last replica answers accordingly.
func MeasureReplicas(ctx context.Context, b *scenario.Run) (err error) {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return err
	}
	r := &replicaSet{Testbed: s}
	defer func() {
		for _, o := range r.all {
			err = errors.Join(err, o.Stop())
		}
	}()
	for i := range b.Options.Replicas {
		address, err := testbed.FreeAddress(ctx)
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
	for i := range b.Rounds {
		if i%100 == 0 {
			b.Logf("replicas: %d of %d", i, b.Rounds)
		}
		if err := r.round(ctx, i, took); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	c := b.Report.Table(fmt.Sprintf("%d replicas, %d times each", len(r.all), b.Rounds))
	for _, row := range []struct {
		name string
		most float64
	}{{issuedRow, 100}, {revokedRow, 1000}, {suspendedRow, 1000}, {deletedRow, 1000}} {
		c.Add(row.name+", median", report.Milliseconds(report.Percentile(took[row.name], 50)), "ms")
		c.AddGoal(row.name+", p99", report.Milliseconds(report.Percentile(took[row.name], 99)), "ms", report.AtMost(row.most))
		c.Add(row.name+", longest", report.Milliseconds(report.Percentile(took[row.name], 100)), "ms")
	}
	if len(r.all) == 1 {
		return nil // no other replica could take over
	}
	return r.takeovers(ctx, b)
}

// startReplica starts replica i.
func (r *replicaSet) startReplica(ctx context.Context, i int) (err error) {
	r.all[i], err = r.Launch(ctx, fmt.Sprintf("replica-%d", i), "--leader-elect", "--plain-http", "--bind-address="+r.endpoints[i], "--shutdown-delay=0s")
	return err
}

// The rows of the report. A time begins with the response to the caller that made the change, or
// with the event of the Secret. It ends when the last replica answers accordingly.
const (
	issuedRow    = "issued: from the Secret's appearance until valid on all"
	revokedRow   = "revoked at one: until refused on all"
	suspendedRow = "client suspended: until refused on all"
	deletedRow   = "ApplicationToken deleted: until refused on all"
)

// round measures one token from its issue to its deletion.
func (r *replicaSet) round(ctx context.Context, i int, took map[string][]time.Duration) error {
	key := types.NamespacedName{Namespace: testbed.ProbeNamespace, Name: fmt.Sprintf("replicated-%05d", i)}
	admin := r.Clients[0]
	measure := func(what, text string, since time.Time, status int) error {
		if err := r.waitAll(ctx, text, status); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took[what] = append(took[what], time.Since(since))
		return nil
	}
	at := testbed.NewToken(key.Namespace, key.Name)
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

	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: testbed.ClientName}}
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
func (r *replicaSet) waitAll(ctx context.Context, text string, status int) error {
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
				errs[i] = errors.Join(r.all[i].CheckAlive(), load.Sleep(ctx, time.Millisecond))
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

func (r *replicaSet) revoke(ctx context.Context, address, text string) error {
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
