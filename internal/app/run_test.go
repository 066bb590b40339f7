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

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/test/cluster"
)

// admin returns a kubeconfig with every right in the cluster that has the kinds.
func admin(t *testing.T) []byte {
	t.Helper()
	content, err := plane.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// silent keeps the process off the default ports.
var silent = []string{"--metrics-bind-address=0", "--health-probe-bind-address=0"}

func TestWhoeverAsksForHelpGetsIt(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "help.txt"))
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, "--help")
	p.ends(0)
	if p.stderr() != string(golden) {
		t.Errorf("it says\n%s", p.stderr())
	}
}

func TestAMistakeEndsTheProgramWithTwo(t *testing.T) {
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
			p := start(t, c.env, c.args...)
			p.ends(2)
			if p.stderr() != c.want {
				t.Errorf("it says\n%swant\n%s", p.stderr(), c.want)
			}
		})
	}
}

func TestATokenInTheWrongPlaceIsNotRepeated(t *testing.T) { // [row 10]
	plain := minted(t, token.Application)
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
		"as a kubeconfig":    {silent, environment{"KUBECONFIG": plain}, 1},
		"within KUBECONFIG":  {silent, environment{"KUBECONFIG": written(t, []byte(plain))}, 1},
		"as a broken number": {silent, environment{"KUBECONFIG": written(t, []byte("clusters: {name: "+plain+"}"))}, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := start(t, c.env, c.args...)
			p.ends(c.code, "apptoken-operator: ")
			tellsNothing(t, p.stderr(), plain)
		})
	}
}

// kubeconfig returns a kubeconfig of a server, with a wrong token and no CA.
func kubeconfig(server string) []byte {
	return fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}], users: [{name: u, user: {token: wrong}}]}`, server)
}

func TestWhatKeepsItFromStartingIsSaidAndTheExitCodeIsOne(t *testing.T) {
	taken := listener(t)
	defer taken.Close()
	const none = "apptoken-operator: find the cluster: this process runs in no pod, and neither the file that KUBECONFIG names nor ~/.kube/config has a cluster\n"
	for sentence, c := range map[string]struct {
		kubeconfig string
		args       []string
		want       []string
	}{
		"there is no cluster":         {want: []string{none}},
		"there is no such kubeconfig": {kubeconfig: "/nowhere/kubeconfig", want: []string{none}},
		"the kubeconfig is empty":     {kubeconfig: written(t, nil), want: []string{none}},
		"the kubeconfig is none": {
			kubeconfig: written(t, []byte("a: [")), want: []string{"apptoken-operator: find the cluster: error loading config file"},
		},
		"it has no rights there": {
			kubeconfig: written(t, kubeconfig(plane.Admin.Host)), want: []string{"apptoken-operator: get the operator's own namespace: ", "the server has asked for the client to provide credentials"},
		},
		"its own namespace is missing": {
			kubeconfig: written(t, admin(t)), args: []string{"--namespace=not-there"},
			want: []string{`apptoken-operator: the operator's own namespace not-there does not exist: create it with "kubectl create namespace not-there", or set --namespace to another one` + "\n"},
		},
		"somebody else has its port": {
			kubeconfig: written(t, admin(t)), args: []string{"--namespace=default", "--health-probe-bind-address=" + taken.Addr().String()},
			want: []string{"apptoken-operator: ", taken.Addr().String(), "address already in use"},
		},
		"its port is none": {
			kubeconfig: written(t, admin(t)), args: []string{"--namespace=default", "--metrics-bind-address=:99999"},
			want: []string{"apptoken-operator: ", "99999", "invalid port"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			env := environment{}
			if c.kubeconfig != "" {
				env["KUBECONFIG"] = c.kubeconfig
			}
			start(t, env, append(append([]string{}, silent...), c.args...)...).ends(1, c.want...)
		})
	}
}

// Each message names a command. A user who runs these commands, to the letter, gets to the next
// message, and in the end to a running operator.
func TestFollowingWhatItSaysLeadsToAnOperatorThatRuns(t *testing.T) {
	bare := &envtest.Environment{} // a new cluster, with nothing installed
	if _, err := bare.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bare.Stop(); err != nil {
			t.Error(err)
		}
	})
	env := environment{"KUBECONFIG": written(t, bare.KubeConfig)}

	p := start(t, env, silent...)
	p.ends(1, "the operator's own namespace apptoken-system does not exist")
	p.follow("kubectl create namespace apptoken-system", env)

	p = start(t, env, silent...)
	p.ends(1, "the API server does not serve the kind ", "install the kinds")
	p.follow("kubectl apply -k config/crd", env)
	kubectl(t, env, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")

	health, metrics := "http://"+address(t), "http://"+address(t)
	p = start(t, env, "--health-probe-bind-address="+strings.TrimPrefix(health, "http://"), "--metrics-bind-address="+strings.TrimPrefix(metrics, "http://"), "--leader-elect", "--log-level=debug")
	if said := p.answers(health + "/readyz"); !strings.HasPrefix(said, "ok\n[+] api-server\n[+] records\nlast contact with the API server: ") {
		t.Errorf("/readyz says %s", said)
	}
	p.answers(health + "/readyz/records")
	p.answers(health + "/healthz")
	if status, _ := get(t.Context(), health+"/readyz/nothing"); status != http.StatusNotFound {
		t.Errorf("the status of a check that there is not is %d", status)
	}
	if text := p.answers(metrics + "/metrics"); !strings.Contains(text, "\napptoken_records 0\n") {
		t.Errorf("there is no apptoken_records among the metrics:\n%s", text)
	}
	lease := []string{"lease/apptoken-operator", "--namespace=apptoken-system"}
	kubectl(t, env, append([]string{"wait", "--for=create", "--timeout=60s"}, lease...)...)
	kubectl(t, env, append([]string{"wait", "--for=jsonpath={.spec.holderIdentity}", "--timeout=60s"}, lease...)...)
	p.stop()
	p.ends(0)
	if last := p.conclusion(); last != "" {
		t.Errorf("an orderly end needs no words:\n%s", last)
	}
	if holder := kubectl(t, env, append([]string{"get", "--output=jsonpath={.spec.holderIdentity}"}, lease...)...); holder != "" {
		t.Errorf("%s still holds the lease", holder)
	}
}

// follow asserts that the process recommended a command, and runs it.
func (p *process) follow(command string, env environment) {
	p.t.Helper()
	advice := regexp.MustCompile(`"(kubectl [^"]*)"`).FindStringSubmatch(p.conclusion())
	if len(advice) < 2 || advice[1] != command {
		p.t.Fatalf("it advises %q, want %s", advice, command)
	}
	kubectl(p.t, env, strings.Fields(command)[1:]...)
}

// kubectl runs kubectl at the root of the module, and returns its output.
func kubectl(t *testing.T, env environment, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	cmd.Dir = cluster.Root()
	cmd.Env = []string{"KUBECONFIG=" + env["KUBECONFIG"], "HOME=" + t.TempDir()}
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

func TestAProcessCanHaveOneOperatorAfterAnother(t *testing.T) {
	for range 2 { // tests do so, and a metric must not be registered twice
		o := defaults()
		o.Namespace, o.MetricsAddress, o.HealthAddress = "default", "0", "0"
		if _, err := app.NewOperator(context.Background(), plane.Admin, o); err != nil {
			t.Fatal(err)
		}
	}
}
