package e2e_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/test/programs"
)

// writeCertificate writes a self-signed certificate for loopback, and its key.
func writeCertificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("tls.crt", "CERTIFICATE", s.Certificate().Raw), write("tls.key", "PRIVATE KEY", key)
}

// oauthResults holds the responses that a third-party OAuth library got.
type oauthResults struct {
	Issuer        string
	Introspection struct {
		Status int
		Body   struct {
			Active          bool
			Sub, Jti, Scope string
		}
	}
	Revocation struct{ Status int }
}

// runAuthlib makes Authlib, an OAuth client library, introspect a token and revoke it.
func (w *tenant) runAuthlib(ca, method, clientID, secret, text string, revoke bool) oauthResults {
	w.Helper()
	asked, err := json.Marshal(map[string]any{
		"issuer": "https://" + w.op.Listeners["bind-address"].Addr().String(), "method": method,
		"client_id": clientID, "client_secret": secret, "token": text, "revoke": revoke,
	})
	w.must(err)
	cmd := exec.CommandContext(w.Context(), programs.Python, filepath.Join(controlplane.Root(), "test", "e2e", "testdata", "oauth.py"))
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+ca)
	cmd.Stdin = bytes.NewReader(asked)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	said, err := cmd.Output()
	if err != nil {
		w.Fatalf("%v: %s", err, &problem)
	}
	var l oauthResults
	w.must(json.Unmarshal(said, &l))
	return l
}

func TestOAuth_LibraryIntrospectsAndRevokes(t *testing.T) {
	programs.RequirePython(t, "authlib", "requests")
	o := defaultOptions()
	o.Endpoints.PlainHTTP = false
	o.Endpoints.CertFile, o.Endpoints.KeyFile = writeCertificate(t)
	ca := o.Endpoints.CertFile
	w := newTenant(t, startOperator(t, o))
	w.editClient(`{accountID: null, roles: [{name: primary, permissions: ["search.*"]}, {name: writer, permissions: ["sec.token.*"]}]}`)
	w.declareToken("server", `{roles: [writer]}`)
	w.declareToken("indexer", `{roles: [primary]}`)
	w.waitReady("server")
	w.waitReady("indexer")
	text, id := w.tokenText("indexer"), w.currentDigest("indexer").RecordName()
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		said := w.runAuthlib(ca, method, w.name, w.tokenText("server"), text, false)
		in := said.Introspection.Body
		if said.Introspection.Status != http.StatusOK || !in.Active || in.Sub != w.name+"/indexer" || in.Jti != id || in.Scope != "search.*" {
			t.Errorf("%s: %+v", method, said.Introspection)
		}
	}
	if said := w.runAuthlib(ca, "client_secret_basic", "another", w.tokenText("server"), text, true); said.Introspection.Status != http.StatusUnauthorized || said.Revocation.Status != http.StatusUnauthorized {
		t.Errorf("by another client's name: %+v", said)
	}
	if said := w.runAuthlib(ca, "client_secret_basic", w.name, w.tokenText("server"), text, true); said.Revocation.Status != http.StatusOK {
		t.Errorf("the revocation: %+v", said)
	}
	w.eventually("it is not active any more", func(context.Context) bool {
		said := w.runAuthlib(ca, "client_secret_post", w.name, w.tokenText("server"), text, false)
		return said.Introspection.Status == http.StatusOK && !said.Introspection.Body.Active
	})
}
