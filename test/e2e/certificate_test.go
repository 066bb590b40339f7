package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mountSecret keeps files in step with a Secret, and replaces all of them at once, as the kubelet
// does with a volume.
func mountSecret(ctx context.Context, key types.NamespacedName, at string) error {
	var shown string
	return wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var s corev1.Secret
		if err := admin.Get(ctx, key, &s); err != nil || s.ResourceVersion == shown {
			return false, client.IgnoreNotFound(err)
		}
		shown = s.ResourceVersion
		data := filepath.Join(at, ".."+shown)
		if err := os.MkdirAll(data, 0o700); err != nil {
			return false, err
		}
		for name, content := range s.Data {
			if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
				return false, err
			}
		}
		next := filepath.Join(at, "..next")
		if err := os.Symlink(data, next); err != nil {
			return false, err
		}
		if err := os.Rename(next, filepath.Join(at, "..data")); err != nil {
			return false, err
		}
		for name := range s.Data {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(at, name)); err != nil && !os.IsExist(err) {
				return false, err
			}
		}
		return false, nil
	})
}

func TestCertificate_IsCreatedServedAndRenewed(t *testing.T) {
	w := newSharedTenant(t)
	key := types.NamespacedName{Namespace: systemNamespace, Name: "apptoken-operator-tls"}
	w.must(client.IgnoreAlreadyExists(admin.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})))
	folder := t.TempDir()
	mounted := make(chan error, 1)
	ctx, unmount := context.WithCancel(t.Context())
	go func() { mounted <- mountSecret(ctx, key, folder) }()
	defer func() {
		unmount()
		if err := <-mounted; !wait.Interrupted(err) {
			t.Error(err)
		}
	}()

	o := defaultOptions()
	o.Namespaces = []string{w.name} // it runs beside the operator that the other tests share
	o.Endpoints.PlainHTTP, o.Endpoints.CertSecret = false, key.Name
	o.Endpoints.CertFile, o.Endpoints.KeyFile = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	op, err := runOperator(o)
	w.must(err)
	defer func() { w.must(op.stop()) }()

	// served returns the certificate that is served to a client that trusts the CA of the Secret
	// and calls the Service by its name.
	served := func(ctx context.Context) (ca, leaf []byte, ok bool) {
		var s corev1.Secret
		if admin.Get(ctx, key, &s) != nil || len(s.Data["ca.crt"]) == 0 || op.Listeners["bind-address"].Addr() == nil {
			return nil, nil, false
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(s.Data["ca.crt"])
		caller := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: trusted, ServerName: "apptoken-operator." + systemNamespace + ".svc", MinVersion: tls.VersionTLS12,
		}}}
		defer caller.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+op.Listeners["bind-address"].Addr().String()+"/verify", nil)
		w.must(err)
		res, err := caller.Do(req)
		if err != nil {
			return nil, nil, false
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a token: %d", res.StatusCode)
		}
		return s.Data["ca.crt"], res.TLS.PeerCertificates[0].Raw, true
	}
	var ca, leaf []byte
	w.eventually("there is a certificate", func(ctx context.Context) (ok bool) {
		ca, leaf, ok = served(ctx)
		return ok
	})
	var s corev1.Secret
	w.must(admin.Get(t.Context(), key, &s))
	w.must(admin.Patch(t.Context(), &s, client.RawPatch(types.MergePatchType, []byte(`{"data":null}`))))
	w.eventually("it is made again, and served without a restart", func(ctx context.Context) bool {
		nextCA, nextLeaf, ok := served(ctx)
		if !ok || bytes.Equal(nextCA, ca) || bytes.Equal(nextLeaf, leaf) {
			return false
		}
		ca = nextCA
		return true
	})
	w.must(admin.Delete(t.Context(), &s))
	w.eventually("it is made again after a deletion, with the CA that callers trust", func(ctx context.Context) bool {
		nextCA, _, ok := served(ctx)
		return ok && bytes.Equal(nextCA, ca)
	})
	if strings.Contains(operatorLog.String(), "PRIVATE KEY") {
		t.Error("a private key is in the log")
	}
}
