package soap

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/test/programs"
)

func TestClients_SoapOfNode(t *testing.T) {
	node := programs.Node(t)
	folder := filepath.Join("testdata", "node")
	programs.InstallNPM(t, folder)
	c := newClient(t)
	got := c.run(c.input(), node, filepath.Join(folder, "client.mjs"))
	c.check(got, clientVersions{operations: []string{"SOAP 1.1", "SOAP 1.2"}, uses: []string{"SOAP 1.1", "SOAP 1.2"}, showsFaults: true})
}

func TestClients_ZeepOfPython(t *testing.T) {
	programs.RequirePython(t, "zeep")
	c := newClient(t)
	got := c.run(c.input(), programs.Python, filepath.Join("testdata", "client.py"))
	uses := []string{"SOAP 1.1", "SOAP 1.2", "SOAP 1.1 of Precisely", "SOAP 1.2 of Precisely"}
	c.check(got, clientVersions{operations: uses[:2], uses: uses, showsFaults: true})
}

// jaxws are the libraries of Debian that JAX-WS and wsimport need.
var jaxws = []string{
	"FastInfoset", "codemodel", "geronimo-annotation-1.3-spec", "gmbal", "istack-commons-runtime", "istack-commons-tools", "javax.activation", "javax.xml.soap-api",
	"jaxb-api", "jaxb-core", "jaxb-runtime", "jaxb-xjc", "jaxws-api", "jaxws-ri-rt-jdk9", "jaxws-ri-runtime", "jaxws-tools", "jws-api", "metro-policy", "mimepull",
	"relaxngDatatype", "rngom", "saaj-impl", "stax-ex", "stax2-api", "streambuffer", "txw2", "woodstox-core-asl", "xsom",
}

// The classes are generated from the WSDL document, and the messages are those of the vendor's
// samples.
func TestClients_JAXWS(t *testing.T) {
	for _, name := range []string{"java", "javac", "keytool"} {
		if _, err := exec.LookPath(name); err != nil {
			programs.SkipMissing(t, "default-jdk-headless")
		}
	}
	var libraries []string
	for _, name := range jaxws {
		path := filepath.Join("/usr/share/java", name+".jar")
		if _, err := os.Stat(path); err != nil {
			programs.SkipMissing(t, "libjaxws-java")
		}
		libraries = append(libraries, path)
	}
	c, dir := newClient(t), t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	trust, classpath := filepath.Join(dir, "trust.p12"), strings.Join(append(libraries, dir), ":")
	run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", c.ca, "-keystore", trust, "-storepass", "changeit")
	java := func(args ...string) []string {
		return append([]string{"-Djavax.net.ssl.trustStore=" + trust, "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", classpath}, args...)
	}
	run("java", java("com.sun.tools.ws.WsImport", "-Xnocompile", "-keep", "-extension", "-d", dir, c.URL+"/security/TokenManagerService?wsdl")...)
	sources, err := filepath.Glob(filepath.Join(dir, "com", "*", "spectrum", "platform", "server", "common", "security", "token", "*.java"))
	if err != nil {
		t.Fatal(err)
	}
	run("javac", append([]string{"-cp", classpath, "-d", dir, filepath.Join("testdata", "Tokens.java")}, sources...)...)
	input := strings.Join([]string{c.URL, servertest.Usernames["alice"], servertest.Passwords["alice"], ""}, "\n")
	got := c.run([]byte(input), "java", java("Tokens")...)
	c.check(got, clientVersions{operations: []string{"SOAP 1.1", "SOAP 1.2"}, uses: []string{"SOAP 1.1", "SOAP 1.2", "SOAP 1.1 of Precisely"}})
}

// clientVersions are the versions of SOAP in which a program calls every operation, and those in
// which it uses a token and ends it.
type clientVersions struct {
	operations, uses []string
	showsFaults      bool // also those of a 401 and a 403
}

// check fails unless a program got what each operation gives: tokens of the right kind and end, a
// fault for what is refused, and the end of a token that it logged out.
func (c client) check(got result, v clientVersions) {
	c.t.Helper()
	for _, version := range v.operations {
		for _, operation := range []string{"getAccessToken", "getAccessExpiringToken", "getAccessSessionToken", "getAccessExpiringSessionToken", "getAccessExpiringTokenForAll", "getAccessExpiringOpenToken"} {
			tok, isOpen := got.Tokens[version+" "+operation], strings.HasSuffix(operation, "ForAll") || strings.HasSuffix(operation, "OpenToken")
			prefix := map[bool]string{true: "ato_", false: "ats_"}[isOpen]
			if !strings.HasPrefix(tok.Token, prefix) || (tok.Session == "") != isOpen || tok.Username != servertest.Usernames["alice"] {
				c.t.Errorf("%s %s: %+v", version, operation, tok)
			}
		}
		for refused, says := range map[string]string{
			"getAccessTokenForAll": "no open tokens without an end", "getAccessOpenToken": "no open tokens without an end",
			"wrong lifetime": "tokenLifeInMinutes must be", "wrong password": "is not accepted",
		} {
			if !v.showsFaults && refused != "wrong lifetime" { // JAX-WS reads no body of a 401 or a 403
				says = "HTTP status code 40"
			}
			if text := got.Faults[version+" "+refused]; !strings.Contains(text, says) {
				c.t.Errorf("%s, %s: the fault is %q", version, refused, text)
			}
		}
	}
	for _, version := range v.uses {
		for use, want := range map[string]string{"with its session": "200", "without a session": "401", "logged out": "401"} {
			if status := fmt.Sprint(got.Statuses[version+" "+use]); status != want {
				c.t.Errorf("%s, %s: %s", version, use, status)
			}
		}
		if got.Faults[version+" second logout"] == "" {
			c.t.Errorf("%s: the second logout has no fault", version)
		}
	}
	c.checkEnds(got)
	c.CheckNoSecretInAudit()
}

// checkEnds fails unless the tokens that expire end after their five minutes, and the others do
// not.
func (c client) checkEnds(got result) {
	c.t.Helper()
	valid := func() (names []string) {
		for name, tok := range got.Tokens {
			session := servertest.Cookies("SESSION=" + tok.Session)
			if c.IsValid(tok.Token, session, func(r *http.Request) { r.Header.Del("X-Forwarded-For") }) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	c.Clock.Advance(5*time.Minute - time.Second)
	var live, endless []string
	for name := range maps.Keys(got.Tokens) {
		if !strings.Contains(name, "Expiring") && !strings.HasSuffix(name, " ended") {
			endless = append(endless, name)
		}
		if !strings.HasSuffix(name, " ended") {
			live = append(live, name)
		}
	}
	slices.Sort(live)
	slices.Sort(endless)
	if names := valid(); !slices.Equal(names, live) {
		c.t.Errorf("before the end these are valid: %q, want %q", names, live)
	}
	c.Clock.Advance(time.Second)
	if names := valid(); !slices.Equal(names, endless) {
		c.t.Errorf("at the end these are valid: %q, want %q", names, endless)
	}
}
