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
	"github.com/apptoken/operator/test/cluster"
)

// system is the operator's own namespace.
const system = "apptoken-system"

// webhook is the address at which the API server asks the shared operator about tokens. The kernel
// assigns no port at this address.
const webhook = "127.0.0.3:9443"

// Fixtures that all tests share.
var (
	plane      *cluster.Cluster
	kubeconfig string        // a file with every right
	admin      client.Client // with every right, and no cache
	sent       = &requests{} // by all operators of this run
	logged     = &buffer{}   // by all operators of this run
	plaintexts = &harvest{}  // every token that was ever in a Secret
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "apptoken-e2e")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if plane, err = cluster.Start(cluster.AskAboutTokens("http://"+webhook+"/tokenreview", dir)); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // before the API server stops, since it waits for open watches
	if err := access(ctx, dir); err != nil {
		return 1, err
	}
	log := app.NewLogger(app.Options{LogLevel: "debug"}, logged)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := plaintexts.gather(ctx); err != nil {
		return 1, err
	}

	code = m.Run()
	if err := common.halt(); err != nil {
		return 1, fmt.Errorf("the operator that most tests share: %w", err)
	}
	if code == 0 && everyTestRan() {
		return 0, lookBack(ctx)
	}
	return code, nil
}

// everyTestRan reports whether this run includes all tests, so that a right which was never used is
// not needed.
func everyTestRan() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// access creates the ways into the cluster, and grants the operator its rights.
func access(ctx context.Context, dir string) error {
	content, err := plane.Kubeconfig()
	if err != nil {
		return err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		return err
	}
	if admin, err = client.New(plane.Admin, client.Options{Scheme: app.Scheme()}); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "-f", config("manager/namespace.yaml")},
		{"apply", "-k", config("rbac/common")},
		{"apply", "-k", config("rbac/cluster")},
		{"apply", "-k", config("policy")},
	} {
		if said, err := kubectl(ctx, args...); err != nil {
			return fmt.Errorf("kubectl %v: %w\n%s", args, err, said)
		}
	}
	return policiesHold(ctx)
}

// config returns a path below config/.
func config(path string) string {
	return filepath.Join(cluster.Root(), "config", filepath.FromSlash(path))
}

// kubectl runs kubectl, with every right.
func kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+filepath.Dir(kubeconfig))
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// identity returns a configuration with the operator's service account, to which config/rbac grants
// rights.
func identity() *rest.Config {
	to := rest.CopyConfig(plane.Admin)
	to.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + system + ":apptoken-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + system, "system:authenticated"},
	}
	to.Wrap(sent.record)
	return to
}

// operator is a running operator.
type operator struct {
	*app.Operator
	end  context.CancelFunc
	done chan error
	once sync.Once
	err  error
}

// options returns the options of an operator that reconciles alone and serves all namespaces.
func options() app.Options {
	return app.Options{
		MetricsAddress: "0", HealthAddress: "0", Namespace: system, Workers: 8, LogLevel: "debug", AuditLog: logged,
		Doors: app.DoorOptions{
			Address: "127.0.0.1:0", WebhookAddress: "127.0.0.1:0", GRPCAddress: "127.0.0.1:0", PlainHTTP: true,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Lookups: 100, UseWrites: 100,
		},
	}
}

// begin starts an operator, and returns once its caches are synced.
func begin(o app.Options) (*operator, error) { return beginAt(identity(), o) }

// beginAt is begin with a configuration of the caller.
func beginAt(to *rest.Config, o app.Options) (*operator, error) {
	ctx, cancel := context.WithCancel(context.Background())
	wired, err := app.NewOperator(ctx, to, o)
	if err != nil {
		cancel()
		return nil, err
	}
	op := &operator{Operator: wired, end: cancel, done: make(chan error, 1)}
	begun.add(op)
	go func() { op.done <- wired.Manager.Start(ctx) }()
	synced, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if !wired.Manager.GetCache().WaitForCacheSync(synced) {
		return nil, errors.Join(errors.New("the operator's caches were not filled within a minute"), op.halt())
	}
	return op, nil
}

// halt stops the operator, and returns the error that it ended with.
func (op *operator) halt() error {
	op.once.Do(func() {
		op.end()
		op.err = <-op.done
	})
	return op.err
}

// started holds the operators that were started, in this order.
type started struct {
	mu  sync.Mutex
	ops []*operator
}

var begun started

func (s *started) add(op *operator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, op)
}

func (s *started) all() []*operator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ops)
}

// shared is the operator of all tests that need none of their own. The first of them starts it.
type shared struct {
	mu sync.Mutex
	op *operator
}

var common shared

func (s *shared) operator() (*operator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.op != nil {
		return s.op, nil
	}
	var err error
	o := options()
	o.Doors.WebhookAddress = webhook
	s.op, err = begin(o)
	return s.op, err
}

func (s *shared) halt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.op == nil {
		return nil
	}
	return s.op.halt()
}

// lookBack checks the results of the whole run.
func lookBack(ctx context.Context) error {
	return errors.Join(
		hindsight(ctx, "the roles grant what is used and nothing else", rightsMatch),
		hindsight(ctx, "no write of the operator was refused by a policy", noPolicyRefusals),
		hindsight(ctx, "no token is anywhere but in its Secret [3.1] [row 1]", func(ctx context.Context) ([]string, error) {
			return leaks(ctx, plaintexts.all())
		}),
	)
}

func hindsight(ctx context.Context, sentence string, judge func(context.Context) ([]string, error)) error {
	problems, err := judge(ctx)
	for _, problem := range problems {
		err = errors.Join(err, errors.New(problem))
	}
	if err != nil {
		return fmt.Errorf("--- FAIL: in hindsight, %s\n%w", sentence, err)
	}
	fmt.Println("--- PASS: in hindsight,", sentence)
	return nil
}
