package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// loginsPerUser is how many logins a user has here: as many as a Client allows by default.
const loginsPerUser = 20

// measureStart starts the operator with many records in the API server. The records are logins of
// users, and none is to be deleted: its owner exists and it has not expired. So the reconcilers
// have nothing to do with them.
func measureStart(ctx context.Context, b *bench) error {
	s, err := b.newTestbed(ctx)
	if err != nil {
		return err
	}
	if err := storeLogins(ctx, s, b.records); err != nil {
		return err
	}
	// A first operator does all pending work, so that the measured one has none: it writes the
	// finalizer and the status of every user, and reconciles every record.
	if err := s.startOperator(ctx); err != nil {
		return err
	}
	if _, err := s.waitQuietFor(ctx, 10*time.Second, time.Hour); err != nil {
		return err
	}
	if err := s.stopOperator(); err != nil {
		return err
	}
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	bare, err := listRecords(ctx, s, b.records)
	if err != nil {
		return err
	}
	used := s.usage()
	if err := s.startOperator(ctx); err != nil {
		return err
	}
	now, _ := residentMemory(s.operator.pid())
	b.logf("start: %s", s.usage().since(used))
	known, err := s.operator.metric(ctx, "apptoken_records", "")
	if err != nil {
		return err
	}
	after, err := s.waitQuiet(ctx)
	if err != nil {
		return err
	}
	wrote := after.since(before)
	for op, n := range wrote.done {
		b.logf("start: %d writes: %s", n, op)
	}
	_, most := residentMemory(s.operator.pid())
	r := b.report.section("start")
	r.add("records in the store", float64(b.records), "records")
	r.addGoal("until /readyz says ok", s.operator.readyAfter.Seconds(), "s", below(10))
	r.addRatio("until /readyz says ok, beside a bare list of the same records", s.operator.readyAfter.Seconds(), "s", bare.Seconds(), nil)
	r.addGoal("records in the index by then", known, "records", atLeast(float64(b.records)))
	r.add("memory of the operator by then", now, "MiB")
	r.add("memory of the operator at most", most, "MiB")
	r.addGoal("writes after it", float64(wrote.total()), "writes", atMost(0))
	return nil
}

// listRecords measures how long one plain client takes to list the records. The operator cannot
// know them sooner.
func listRecords(ctx context.Context, s *testbed, n int) (time.Duration, error) {
	var records v1alpha1.TokenRecordList
	began := time.Now()
	err := s.clients[0].List(ctx, &records, client.InNamespace(ownNamespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	if err == nil && len(records.Items) != n {
		err = fmt.Errorf("there are %d records, not %d", len(records.Items), n)
	}
	return time.Since(began), err
}

// storeLogins creates n records of logins, and the users who have them.
func storeLogins(ctx context.Context, s *testbed, n int) error {
	users := make([]types.UID, (n+loginsPerUser-1)/loginsPerUser)
	err := s.inParallel(ctx, "users", len(users), func(ctx context.Context, c client.Client, i int) error {
		u := newLoginUser(userNameOf(i*loginsPerUser), quickHash.secretName, clientName)
		err := c.Create(ctx, u)
		users[i] = u.UID
		return err
	})
	if err != nil {
		return err
	}
	credential, err := storePassword(ctx, s, quickHash)
	if err != nil {
		return err
	}
	issued := metav1.Now()
	return s.inParallel(ctx, "records", n, func(ctx context.Context, c client.Client, i int) error {
		return c.Create(ctx, loginRecord(i, users[i/loginsPerUser], credential.Fingerprint(), issued))
	})
}

// loginRecord returns the record of login i.
func loginRecord(i int, user types.UID, credential string, issued metav1.Time) *v1alpha1.TokenRecord {
	digest := randomDigest()
	return &v1alpha1.TokenRecord{
		ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: "at-" + digest[:32]},
		Spec: v1alpha1.TokenRecordSpec{
			Kind: v1alpha1.RecordKindLogin, Digest: v1alpha1.Digest(digest), Hint: "…" + digest[60:],
			Owner:  v1alpha1.RecordOwner{Kind: "User", Name: userNameOf(i), UID: user},
			Client: clientName, User: userNameOf(i), Credential: credential,
			IssuedAt: issued, ExpiresAt: new(metav1.NewTime(issued.Add(720 * time.Hour))),
			Version: 1,
		},
	}
}
