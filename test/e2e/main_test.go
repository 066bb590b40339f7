package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// systemNamespace is the operator's own namespace.
const systemNamespace = "apptoken-system"

// webhookAddress is the address at which the API server asks the shared operator about tokens. The
// kernel assigns no port at this address.
const webhookAddress = "127.0.0.3:9443"

// Fixtures that all tests share.
var (
	testCluster  *controlplane.Cluster
	kubeconfig   string            // a file with every right
	admin        client.Client     // with every right, and no cache
	sentRequests = &requests{}     // by all operators of this run
	operatorLog  = &logBuffer{}    // by all operators of this run
	plaintexts   = &plaintextSet{} // every token that was ever in a Secret
)

func TestMain(m *testing.M) {
	flag.Parse()
	controlplane.Run(func(c *controlplane.Cluster) (int, error) {
		testCluster = c
		return runTests(m)
	}, controlplane.WithTokenWebhook("http://"+webhookAddress+"/tokenreview"))
}

func runTests(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // before the API server stops, since it waits for open watches
	if err := setUpAccess(ctx, testCluster.Folder); err != nil {
		return 1, err
	}
	log := app.NewLogger(options.Options{LogLevel: "debug"}, operatorLog)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := plaintexts.collect(ctx); err != nil {
		return 1, err
	}

	code = m.Run()
	if err := commonOperator.stop(); err != nil {
		return 1, fmt.Errorf("the operator that most tests share: %w", err)
	}
	if code == 0 && isCompleteRun() {
		return 0, checkRun(ctx)
	}
	return code, nil
}

// isCompleteRun reports whether this run includes all tests, so that a right which was never used
// is not needed.
func isCompleteRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// setUpAccess creates the ways into the cluster, and grants the operator its rights.
func setUpAccess(ctx context.Context, dir string) error {
	content, err := testCluster.Kubeconfig()
	if err != nil {
		return err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		return err
	}
	if admin, err = client.New(testCluster.Admin, client.Options{Scheme: app.Scheme()}); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "-f", configPath("manager/namespace.yaml")},
		{"apply", "-k", configPath("rbac/common")},
		{"apply", "-k", configPath("rbac/cluster")},
		{"apply", "-k", configPath("policy")},
	} {
		if said, err := kubectl(ctx, args...); err != nil {
			return fmt.Errorf("kubectl %v: %w\n%s", args, err, said)
		}
	}
	return waitForPolicies(ctx)
}

// configPath returns a path below config/.
func configPath(path string) string {
	return filepath.Join(controlplane.Root(), "config", filepath.FromSlash(path))
}

// kubectl runs kubectl, with every right.
func kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+filepath.Dir(kubeconfig))
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// operatorConfig returns a configuration with the operator's service account, to which config/rbac
// grants rights.
func operatorConfig() *rest.Config {
	to := rest.CopyConfig(testCluster.Admin)
	to.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + systemNamespace + ":apptoken-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNamespace, "system:authenticated"},
	}
	to.Wrap(sentRequests.record)
	return to
}

// operator is a running operator.
type operator struct {
	*app.Operator
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

// defaultOptions returns the options of an operator that reconciles alone and serves all
// namespaces.
func defaultOptions() options.Options {
	return options.Options{
		MetricsAddress: "0", HealthAddress: "0", Namespace: systemNamespace, Workers: 8, LogLevel: "debug", AuditLog: operatorLog,
		Endpoints: options.Endpoints{
			Address: "127.0.0.1:0", WebhookAddress: "127.0.0.1:0", GRPCAddress: "127.0.0.1:0", PlainHTTP: true,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, LookupsPerSecond: 100, UseWritesPerSecond: 100,
		},
	}
}

// runOperator starts an operator, and returns once its caches are synced.
func runOperator(o options.Options) (*operator, error) { return runOperatorAt(operatorConfig(), o) }

// runOperatorAt is runOperator with a configuration of the caller.
func runOperatorAt(to *rest.Config, o options.Options) (*operator, error) {
	ctx, cancel := context.WithCancel(context.Background())
	wired, err := app.NewOperator(ctx, to, o)
	if err != nil {
		cancel()
		return nil, err
	}
	op := &operator{Operator: wired, cancel: cancel, done: make(chan error, 1)}
	startedOperators.add(op)
	go func() { op.done <- wired.Manager.Start(ctx) }()
	synced, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if !wired.Manager.GetCache().WaitForCacheSync(synced) {
		return nil, errors.Join(errors.New("the operator's caches were not filled within a minute"), op.stop())
	}
	return op, nil
}

// stop stops the operator, and returns the error that it ended with.
func (op *operator) stop() error {
	op.once.Do(func() {
		op.cancel()
		op.err = <-op.done
	})
	return op.err
}

// operatorList holds the operators that were started, in this order.
type operatorList struct {
	mu  sync.Mutex
	ops []*operator
}

var startedOperators operatorList

func (s *operatorList) add(op *operator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, op)
}

func (s *operatorList) all() []*operator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ops)
}

// sharedOperator is the operator of all tests that need none of their own. The first of them starts
// it.
type sharedOperator struct {
	mu sync.Mutex
	op *operator
}

var commonOperator sharedOperator

func (s *sharedOperator) operator() (*operator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.op != nil {
		return s.op, nil
	}
	var err error
	o := defaultOptions()
	o.Endpoints.WebhookAddress = webhookAddress
	s.op, err = runOperator(o)
	return s.op, err
}

func (s *sharedOperator) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.op == nil {
		return nil
	}
	return s.op.stop()
}

// checkRun checks the results of the whole run.
func checkRun(ctx context.Context) error {
	return errors.Join(
		reportCheck(ctx, "the roles grant what is used and nothing else", checkRights),
		reportCheck(ctx, "no write of the operator was refused by a policy", noPolicyRefusals),
		reportCheck(ctx, "no token is anywhere but in its Secret [3.1] [row 1]", func(ctx context.Context) ([]string, error) {
			return findLeaks(ctx, plaintexts.all())
		}),
	)
}

func reportCheck(ctx context.Context, sentence string, check func(context.Context) ([]string, error)) error {
	problems, err := check(ctx)
	for _, problem := range problems {
		err = errors.Join(err, errors.New(problem))
	}
	if err != nil {
		return fmt.Errorf("--- FAIL: in hindsight, %s\n%w", sentence, err)
	}
	fmt.Println("--- PASS: in hindsight,", sentence)
	return nil
}
