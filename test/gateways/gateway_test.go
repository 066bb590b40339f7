package gateways_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/apptoken/operator/test/programs"
)

// gateway is a program that calls /verify, configured as its page shows.
type gateway struct {
	program, packages string
	module            string // a module that the program loads, from a package of its own
	// files returns the files of the page, by name, with the addresses of the test in place of
	// those of a cluster.
	files func(t *testing.T, at addresses) map[string]string
	args  []string
	// The behavior that the page states.
	downStatus    int  // status while no endpoint listens
	timeoutStatus int  // status while the endpoint accepts the request and does not answer
	passesBody    bool // a 403 has the endpoint's body, not the gateway's own
}

// addresses holds the addresses of a test.
type addresses struct{ gateway, endpoints, upstream, folder string }

var gateways = map[string]gateway{
	"nginx": {
		program: "nginx", packages: "nginx-light libnginx-mod-http-headers-more-filter", module: "ngx_http_headers_more_filter_module.so",
		args:       []string{"-p", ".", "-e", "stderr", "-c", "nginx.conf", "-g", "daemon off; master_process off; pid nginx.pid;"},
		files:      nginxFiles,
		downStatus: http.StatusInternalServerError, timeoutStatus: http.StatusInternalServerError,
	},
	"Caddy": {
		program: "caddy", packages: "caddy",
		args:       []string{"run", "--adapter", "caddyfile", "--config", "Caddyfile"},
		files:      caddyFiles,
		downStatus: http.StatusBadGateway, timeoutStatus: http.StatusGatewayTimeout, passesBody: true,
	},
	"HAProxy": {
		program: "haproxy", packages: "haproxy",
		args:       []string{"-db", "-f", "haproxy.cfg"},
		files:      haproxyFiles,
		downStatus: http.StatusServiceUnavailable, timeoutStatus: http.StatusServiceUnavailable, passesBody: true,
	},
}

func nginxFiles(t *testing.T, at addresses) map[string]string {
	return map[string]string{"nginx.conf": replacePairs(t, firstBlock(t, "nginx.md", "nginx"),
		"listen 8080;", "listen "+at.gateway+";",
		"server apptoken-operator.apptoken-system.svc:443;", "server "+at.endpoints+";",
		"shop.shop.svc:8080", at.upstream,
		"/etc/nginx/apptoken-ca.crt", "ca.crt",
		"load_module modules/", "load_module "+nginxModules(t)+"/",
		// Settings of the package outside the page.
		"http {\n", "http {\naccess_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n",
	)}
}

// nginxModules returns the folder of modules that nginx was built for.
func nginxModules(t *testing.T) string {
	said, err := exec.CommandContext(t.Context(), "nginx", "-V").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(string(said), "--modules-path=")
	path, _, _ = strings.Cut(path, " ")
	return path
}

func caddyFiles(t *testing.T, at addresses) map[string]string {
	host, port, err := net.SplitHostPort(at.gateway)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"Caddyfile": "{\nadmin off\n}\n" + replacePairs(t, firstBlock(t, "caddy.md", "caddyfile"),
		"http://:8080 {", "http://:"+port+" {\nbind "+host,
		"https://apptoken-operator.apptoken-system.svc {", "https://"+at.endpoints+" {",
		"shop.shop.svc:8080", at.upstream,
		"/etc/caddy/apptoken-ca.crt", at.folder+"/ca.crt",
	)}
}

func haproxyFiles(t *testing.T, at addresses) map[string]string {
	asked := "abns@apptoken-" + at.gateway // no other test's
	return map[string]string{
		"haproxy.cfg": replacePairs(t, firstBlock(t, "haproxy.md", "haproxy"),
			"bind :8080", "bind "+at.gateway,
			"bind abns@apptoken", "bind "+asked,
			"apptoken-operator.apptoken-system.svc:443", at.endpoints,
			"shop.shop.svc:8080", at.upstream,
			"/etc/haproxy/apptoken-ca.crt", at.folder+"/ca.crt",
			"/etc/haproxy/apptoken.lua", at.folder+"/apptoken.lua",
		),
		"apptoken.lua": replacePairs(t, firstBlock(t, "haproxy.md", "lua"), "abns@apptoken", asked),
	}
}

// skipUnlessInstalled skips the test if the gateway is not installed, unless every test must run.
func (g gateway) skipUnlessInstalled(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath(g.program)
	if err == nil && g.module != "" {
		_, err = os.Stat(filepath.Join(nginxModules(t), g.module))
	}
	if err != nil {
		programs.SkipMissing(t, g.packages)
	}
}

// start runs the gateway until the end of the test, and returns once it listens.
func (g gateway) start(t *testing.T, at addresses) {
	t.Helper()
	for name, text := range g.files(t, at) {
		if err := os.WriteFile(filepath.Join(at.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), g.program, g.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = at.folder, &said, &said
	cmd.Env = append(os.Environ(), "HOME="+at.folder, "XDG_DATA_HOME="+at.folder, "XDG_CONFIG_HOME="+at.folder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", g.program, said.String())
		}
	})
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		select {
		case err := <-ended:
			ended <- err
			return false, err
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.gateway)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return true, conn.Close()
	})
	if err != nil {
		t.Fatalf("%s does not listen: %v", g.program, err)
	}
}

// freeAddress returns a loopback address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.Addr().String()
}
