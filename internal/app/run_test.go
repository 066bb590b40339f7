package app_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/testing/apptest"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/token"
)

// adminKubeconfig returns a kubeconfig with every right in the cluster that has the kinds.
func adminKubeconfig(t *testing.T) []byte {
	t.Helper()
	content, err := testCluster.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// noListenerFlags keeps the process off the default ports.
var noListenerFlags = []string{"--metrics-bind-address=0", "--health-probe-bind-address=0"}

func TestHelp_IsPrintedAndExitsZero(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("options", "testdata", "help.txt"))
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, nil, "--help")
	p.assertExit(0)
	if p.stderr() != string(golden) {
		t.Errorf("it says\n%s", p.stderr())
	}
}

func TestStart_UsageErrorExitsWithTwo(t *testing.T) {
	for sentence, c := range map[string]struct {
		args []string
		env  environment
		want string
	}{
		"in a flag":       {[]string{"--replicas=2"}, nil, "apptoken-operator: unknown flag: --replicas; see --help\n"},
		"in an argument":  {[]string{"start"}, nil, "apptoken-operator: unexpected argument \"start\": only flags are accepted; see --help\n"},
		"in a variable":   {nil, environment{"APPTOKEN_WORKERS": "0"}, "apptoken-operator: --workers=0: use a number from 1 to 1024\n"},
		"in several ways": {[]string{"--workers=0", "--log-level=all"}, nil, "apptoken-operator: --workers=0: use a number from 1 to 1024\n--log-level=\"all\": use error, info or debug\n"},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := startProcess(t, c.env, c.args...)
			p.assertExit(2)
			if p.stderr() != c.want {
				t.Errorf("it says\n%swant\n%s", p.stderr(), c.want)
			}
		})
	}
}

func TestStart_MisplacedTokenIsNotPrinted(t *testing.T) { // [row 10]
	plain := apptest.MintToken(t, token.Application)
	for sentence, c := range map[string]struct {
		args []string
		env  environment
		code int
	}{
		"as an argument":     {[]string{plain}, nil, 2},
		"as a flag":          {[]string{"--" + plain}, nil, 2},
		"as a value":         {[]string{"--workers=" + plain}, nil, 2},
		"as a namespace":     {[]string{"--namespace=" + plain}, nil, 2},
		"in a variable":      {nil, environment{"APPTOKEN_LOG_LEVEL": plain}, 2},
		"in POD_NAMESPACE":   {nil, environment{"POD_NAMESPACE": plain}, 2},
		"as a kubeconfig":    {noListenerFlags, environment{"KUBECONFIG": plain}, 1},
		"within KUBECONFIG":  {noListenerFlags, environment{"KUBECONFIG": writeTempFile(t, []byte(plain))}, 1},
		"as a broken number": {noListenerFlags, environment{"KUBECONFIG": writeTempFile(t, []byte("clusters: {name: "+plain+"}"))}, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := startProcess(t, c.env, c.args...)
			p.assertExit(c.code, "apptoken-operator: ")
			apptest.AssertNoToken(t, p.stderr(), plain)
		})
	}
}

// wrongTokenKubeconfig returns a kubeconfig of a server, with a wrong token and no CA.
func wrongTokenKubeconfig(server string) []byte {
	return fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}], users: [{name: u, user: {token: wrong}}]}`, server)
}

func TestStart_FailureExitsWithOne(t *testing.T) {
	taken := listenLoopback(t)
	defer taken.Close()
	const none = "apptoken-operator: find the cluster: this process runs in no pod, and neither the file that KUBECONFIG names nor ~/.kube/config has a cluster; set KUBECONFIG to the kubeconfig file of a cluster\n"
	for sentence, c := range map[string]struct {
		wrongTokenKubeconfig string
		args                 []string
		want                 []string
	}{
		"there is no cluster":         {want: []string{none}},
		"there is no such kubeconfig": {wrongTokenKubeconfig: "/nowhere/kubeconfig", want: []string{none}},
		"the kubeconfig is empty":     {wrongTokenKubeconfig: writeTempFile(t, nil), want: []string{none}},
		"the kubeconfig is none": {
			wrongTokenKubeconfig: writeTempFile(t, []byte("a: [")), want: []string{"apptoken-operator: find the cluster: error loading config file"},
		},
		"it has no rights there": {
			wrongTokenKubeconfig: writeTempFile(t, wrongTokenKubeconfig(testCluster.Admin.Host)), want: []string{"apptoken-operator: get the operator's own namespace: ", "the server has asked for the client to provide credentials"},
		},
		"its own namespace is missing": {
			wrongTokenKubeconfig: writeTempFile(t, adminKubeconfig(t)), args: []string{"--namespace=not-there"},
			want: []string{`apptoken-operator: the operator's own namespace not-there does not exist: create it with "kubectl create namespace not-there", or set --namespace to another one` + "\n"},
		},
		"another process has its port": {
			wrongTokenKubeconfig: writeTempFile(t, adminKubeconfig(t)), args: []string{"--namespace=default", "--health-probe-bind-address=" + taken.Addr().String()},
			want: []string{"apptoken-operator: ", taken.Addr().String(), "address already in use"},
		},
		"its port is none": {
			wrongTokenKubeconfig: writeTempFile(t, adminKubeconfig(t)), args: []string{"--namespace=default", "--metrics-bind-address=:99999"},
			want: []string{"apptoken-operator: ", "99999", "invalid port"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			env := environment{}
			if c.wrongTokenKubeconfig != "" {
				env["KUBECONFIG"] = c.wrongTokenKubeconfig
			}
			p := startProcess(t, env, append(append([]string{}, noListenerFlags...), c.args...)...)
			p.assertExit(1, c.want...)
			if isNowhere := strings.Contains(c.want[0], "find the cluster: "); isNowhere && strings.Count(p.stderr(), "\n") != 1 {
				t.Errorf("it prints more than one line:\n%s", p.stderr())
			}
		})
	}
}

// Each message names a command. A user who runs these commands, to the letter, gets to the next
// message, and in the end to a running operator.
func TestStart_FollowingMessagesLeadsToRunningOperator(t *testing.T) {
	kubeconfig, err := controlplane.StartFor(t, controlplane.WithoutCRDs).Kubeconfig() // nothing is installed
	if err != nil {
		t.Fatal(err)
	}
	env := environment{"KUBECONFIG": writeTempFile(t, kubeconfig)}

	p := startProcess(t, env, noListenerFlags...)
	p.assertExit(1, "the operator's own namespace apptoken-system does not exist")
	p.runAdvice("kubectl create namespace apptoken-system", env)

	p = startProcess(t, env, noListenerFlags...)
	p.assertExit(1, "the API server does not serve the kind ", "install the kinds")
	p.runAdvice("kubectl apply -k config/crd", env)
	kubectl(t, env, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")

	health, metrics := "http://"+freeAddress(t), "http://"+freeAddress(t)
	p = startProcess(t, env, "--health-probe-bind-address="+strings.TrimPrefix(health, "http://"), "--metrics-bind-address="+strings.TrimPrefix(metrics, "http://"), "--leader-elect", "--log-level=debug")
	if said := p.waitForOK(health + "/readyz"); !strings.HasPrefix(said, "ok\n[+] api-server\n[+] records\nlast contact with the API server: ") {
		t.Errorf("/readyz says %s", said)
	}
	p.waitForOK(health + "/readyz/records")
	p.waitForOK(health + "/healthz")
	if status, _ := getURL(t.Context(), health+"/readyz/nothing"); status != http.StatusNotFound {
		t.Errorf("the status of a check that there is not is %d", status)
	}
	if text := p.waitForOK(metrics + "/metrics"); !strings.Contains(text, "\napptoken_records 0\n") {
		t.Errorf("there is no apptoken_records among the metrics:\n%s", text)
	}
	lease := []string{"lease/apptoken-operator", "--namespace=apptoken-system"}
	kubectl(t, env, append([]string{"wait", "--for=create", "--timeout=60s"}, lease...)...)
	kubectl(t, env, append([]string{"wait", "--for=jsonpath={.spec.holderIdentity}", "--timeout=60s"}, lease...)...)
	p.stop()
	p.assertExit(0)
	if last := p.finalOutput(); last != "" {
		t.Errorf("an orderly end needs no words:\n%s", last)
	}
	if holder := kubectl(t, env, append([]string{"get", "--output=jsonpath={.spec.holderIdentity}"}, lease...)...); holder != "" {
		t.Errorf("%s still holds the lease", holder)
	}
}

// runAdvice asserts that the process recommended a command, and runs it.
func (p *process) runAdvice(command string, env environment) {
	p.t.Helper()
	advice := regexp.MustCompile(`"(kubectl [^"]*)"`).FindStringSubmatch(p.finalOutput())
	if len(advice) < 2 || advice[1] != command {
		p.t.Fatalf("it advises %q, want %s", advice, command)
	}
	kubectl(p.t, env, strings.Fields(command)[1:]...)
}

// kubectl runs kubectl at the root of the module, and returns its output.
func kubectl(t *testing.T, env environment, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	cmd.Dir = controlplane.Root()
	cmd.Env = []string{"KUBECONFIG=" + env["KUBECONFIG"], "HOME=" + t.TempDir()}
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

func TestOperator_StartsTwiceInOneProcess(t *testing.T) {
	for range 2 { // tests do so, and a metric must not be registered twice
		o := defaultOptions()
		o.Namespace, o.MetricsAddress, o.HealthAddress = "default", "0", "0"
		if _, err := app.NewOperator(context.Background(), testCluster.Admin, o); err != nil {
			t.Fatal(err)
		}
	}
}
