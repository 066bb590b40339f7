package start

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// MeasureStart starts the operator with many records in the API server. The records are logins of
// users, and none is to be deleted: its owner exists and it has not expired. So the reconcilers
// have nothing to do with them.
func MeasureStart(ctx context.Context, b *scenario.Run) error {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return err
	}
	if err := storeLogins(ctx, s, b.Records); err != nil {
		return err
	}
	// A first operator does all pending work, so that the measured one has none: it writes the
	// finalizer and the status of every user, and reconciles every record.
	if err := s.StartOperator(ctx); err != nil {
		return err
	}
	if _, err := s.WaitQuietFor(ctx, 10*time.Second, time.Hour); err != nil {
		return err
	}
	if err := s.StopOperator(); err != nil {
		return err
	}
	before, err := s.Writes(ctx)
	if err != nil {
		return err
	}
	bare, err := listRecords(ctx, s, b.Records)
	if err != nil {
		return err
	}
	used := s.Usage()
	if err := s.StartOperator(ctx); err != nil {
		return err
	}
	now, _ := testbed.ResidentMemory(s.Operator.Pid())
	b.Logf("start: %s", s.Usage().Since(used))
	known, err := s.Operator.Metric(ctx, "apptoken_records", "")
	if err != nil {
		return err
	}
	after, err := s.WaitQuiet(ctx)
	if err != nil {
		return err
	}
	wrote := after.Since(before)
	for op, n := range wrote.Done {
		b.Logf("start: %d writes: %s", n, op)
	}
	_, most := testbed.ResidentMemory(s.Operator.Pid())
	r := b.Report.Table("start")
	r.Add("records in the store", float64(b.Records), "records")
	r.AddGoal("until /readyz says ok", s.Operator.ReadyAfter.Seconds(), "s", report.Below(10))
	r.AddRatio("until /readyz says ok, beside a bare list of the same records", s.Operator.ReadyAfter.Seconds(), "s", bare.Seconds(), nil)
	r.AddGoal("records in the index by then", known, "records", report.AtLeast(float64(b.Records)))
	r.Add("memory of the operator by then", now, "MiB")
	r.Add("memory of the operator at most", most, "MiB")
	r.AddGoal("writes after it", float64(wrote.Total()), "writes", report.AtMost(0))
	return nil
}

// listRecords measures how long one plain client takes to list the records. The operator cannot
// know them sooner.
func listRecords(ctx context.Context, s *testbed.Testbed, n int) (time.Duration, error) {
	var records v1alpha1.TokenRecordList
	began := time.Now()
	err := s.Clients[0].List(ctx, &records, client.InNamespace(testbed.OwnNamespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	if err == nil && len(records.Items) != n {
		err = fmt.Errorf("there are %d records, not %d", len(records.Items), n)
	}
	return time.Since(began), err
}

// storeLogins creates n records of logins, and the users who have them.
func storeLogins(ctx context.Context, s *testbed.Testbed, n int) error {
	users := make([]types.UID, (n+scenario.LoginsPerUser-1)/scenario.LoginsPerUser)
	err := s.InParallel(ctx, "users", len(users), func(ctx context.Context, c client.Client, i int) error {
		u := scenario.NewUser(scenario.UserName(i*scenario.LoginsPerUser), scenario.QuickHash.SecretName, testbed.ClientName)
		err := c.Create(ctx, u)
		users[i] = u.UID
		return err
	})
	if err != nil {
		return err
	}
	credential, err := scenario.StorePassword(ctx, s, scenario.QuickHash)
	if err != nil {
		return err
	}
	issued := metav1.Now()
	return s.InParallel(ctx, "records", n, func(ctx context.Context, c client.Client, i int) error {
		return c.Create(ctx, loginRecord(i, users[i/scenario.LoginsPerUser], credential.Fingerprint(), issued))
	})
}

// loginRecord returns the record of login i.
func loginRecord(i int, user types.UID, credential string, issued metav1.Time) *v1alpha1.TokenRecord {
	digest := testbed.RandomDigest()
	return &v1alpha1.TokenRecord{
		ObjectMeta: metav1.ObjectMeta{Namespace: testbed.OwnNamespace, Name: "at-" + digest[:32]},
		Spec: v1alpha1.TokenRecordSpec{
			Kind: v1alpha1.RecordKindLogin, Digest: v1alpha1.Digest(digest), Hint: "…" + digest[60:],
			Owner:  v1alpha1.RecordOwner{Kind: "User", Name: scenario.UserName(i), UID: user},
			Client: testbed.ClientName, User: scenario.UserName(i), Credential: credential,
			IssuedAt: issued, ExpiresAt: new(metav1.NewTime(issued.Add(720 * time.Hour))),
			Version: 1,
		},
	}
}
