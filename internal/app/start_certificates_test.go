package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/apptest"
)

// testCA is a CA.
type testCA struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	a := &testCA{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var der []byte
	a.key, der = a.sign(a.cert)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *testCA) sign(template *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

// files writes a certificate that is valid for a time, and its key, and returns their paths.
func (a *testCA) files(until time.Duration, usage x509.ExtKeyUsage) (cert, key string) {
	a.t.Helper()
	private, der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	cert = writeTempFile(a.t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, writeTempFile(a.t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// startOperator starts an operator in this process, and waits until all its listeners serve.
func startOperator(t *testing.T, o options.Options) *app.Operator {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	op, err := app.NewOperator(ctx, testCluster.Admin, o)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- op.Manager.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	apptest.Eventually(t, "it listens", func(context.Context) bool {
		for _, l := range op.Listeners {
			if l.Ready() != nil {
				return false
			}
		}
		return true
	})
	return op
}

// webhookAnswers calls the webhook with a kubeconfig like the one that an API server reads, and
// reports whether it is answered.
func webhookAnswers(t *testing.T, address string, ca []byte, cert, key string) bool {
	t.Helper()
	text := "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}]," +
		"clusters: [{name: c, cluster: {server: \"https://" + address + "\", certificate-authority: " + writeTempFile(t, ca) + "}}], users: [{name: u, user: {"
	if cert != "" {
		text += "client-certificate: " + cert + ", client-key: " + key
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text + "}}]}"))
	if err != nil {
		t.Fatal(err)
	}
	config.TLSClientConfig.NextProtos = []string{"http/1.1"} // no connection is shared
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	body := `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"x"}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/tokenreview", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK || res.StatusCode == http.StatusServiceUnavailable
}

// extAuthzAnswers calls ext_authz, and reports whether it is answered.
func extAuthzAnswers(t *testing.T, address string, config *tls.Config) bool {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{})
	return err == nil
}

func TestClientCA_RequiresClientCertificate(t *testing.T) {
	own, callers, others := newTestCA(t), newTestCA(t), newTestCA(t)
	o := defaultOptions()
	o.Namespace, o.MetricsAddress, o.HealthAddress = "default", "0", "0"
	o.Endpoints.Address, o.Endpoints.WebhookAddress, o.Endpoints.GRPCAddress, o.Endpoints.ShutdownDelay = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", 0
	o.Endpoints.CertFile, o.Endpoints.KeyFile = own.files(time.Hour, x509.ExtKeyUsageServerAuth)
	o.Endpoints.ClientCAFile = writeTempFile(t, callers.pem)
	op := startOperator(t, o)
	address := func(flag string) string { return op.Listeners[flag].Addr().String() }
	webhook, gateway := address("webhook-bind-address"), address("grpc-bind-address")
	ask := func(cert, key string) (byWebhook, byGateway bool) {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(own.pem)
		config := &tls.Config{RootCAs: roots}
		if cert != "" {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		return webhookAnswers(t, webhook, own.pem, cert, key), extAuthzAnswers(t, gateway, config)
	}
	good, goodKey := callers.files(time.Hour, x509.ExtKeyUsageClientAuth)
	for sentence, x := range map[string]struct {
		files    func() (string, string)
		accepted bool
	}{
		"the right one":      {func() (string, string) { return good, goodKey }, true},
		"none":               {func() (string, string) { return "", "" }, false},
		"of another CA":      {func() (string, string) { return others.files(time.Hour, x509.ExtKeyUsageClientAuth) }, false},
		"of the server's CA": {func() (string, string) { return own.files(time.Hour, x509.ExtKeyUsageClientAuth) }, false},
		"expired":            {func() (string, string) { return callers.files(-time.Hour, x509.ExtKeyUsageClientAuth) }, false},
		"of a server":        {func() (string, string) { return callers.files(time.Hour, x509.ExtKeyUsageServerAuth) }, false},
	} {
		if w, g := ask(x.files()); w != x.accepted || g != x.accepted {
			t.Errorf("%s: the webhook answers: %t, ext_authz: %t", sentence, w, g)
		}
	}
	// Clients of /verify and of the login protocols need no certificate.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(own.pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address("bind-address")+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("the endpoints for all ask for a certificate: %v", err)
	}
	res.Body.Close()

	if err := os.WriteFile(o.Endpoints.ClientCAFile, others.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	apptest.Eventually(t, "the certificate of a CA that was taken out is refused", func(context.Context) bool {
		w, g := ask(good, goodKey)
		return !w && !g
	})
	if err := os.WriteFile(o.Endpoints.ClientCAFile, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, otherKey := others.files(time.Hour, x509.ExtKeyUsageClientAuth)
	if w, g := ask(other, otherKey); !w || !g {
		t.Error("an unreadable file rejects every client")
	}
	if w, g := ask(good, goodKey); w || g {
		t.Error("a file that cannot be read lets in those who were taken out")
	}
}

func TestStart_InvalidCertificateExits(t *testing.T) {
	own := newTestCA(t)
	cert, key := own.files(time.Hour, x509.ExtKeyUsageServerAuth)
	_, otherKey := own.files(time.Hour, x509.ExtKeyUsageServerAuth)
	expired, expiredKey := own.files(-time.Minute, x509.ExtKeyUsageServerAuth)
	missing := filepath.Join(t.TempDir(), "tls.crt")
	for sentence, x := range map[string]struct {
		cert, key string
		more      []string
		want      string
	}{
		"there is none":               {missing, key, nil, "--tls-cert-file=" + missing},
		"it is none":                  {writeTempFile(t, []byte("x")), key, nil, "--tls-cert-file="},
		"the key is another's":        {cert, otherKey, nil, "--tls-private-key-file=" + otherKey},
		"it has expired":              {expired, expiredKey, nil, "the certificate has expired, at "},
		"the CAs of clients are none": {cert, key, []string{"--webhook-bind-address=127.0.0.1:0", "--client-ca-file=" + key}, "the file holds no certificate in PEM"},
		"there are no CAs of clients": {cert, key, []string{"--webhook-bind-address=127.0.0.1:0", "--client-ca-file=" + missing}, "--client-ca-file: "},
	} {
		t.Run(sentence, func(t *testing.T) {
			args := append(append([]string{"--namespace=default", "--bind-address=127.0.0.1:0", "--tls-cert-file=" + x.cert, "--tls-private-key-file=" + x.key}, noListenerFlags...), x.more...)
			startProcess(t, environment{"KUBECONFIG": writeTempFile(t, adminKubeconfig(t))}, args...).assertExit(1, "apptoken-operator: ", x.want)
		})
	}
}
