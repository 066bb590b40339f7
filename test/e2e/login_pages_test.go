package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/test/programs"
)

// fencedBlock matches a fenced block of a page, with its language.
var fencedBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// exchange is a command for readers of a page to paste, and the output that the page shows for it.
type exchange struct {
	line             int // of the page
	command, printed string
}

// readLoginPage reads a page about a login protocol, and returns its exchanges and the objects that
// it declares.
func readLoginPage(t *testing.T, page string) (exchanges []exchange, objects string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "login-protocols", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range fencedBlock.FindAllSubmatchIndex(text, -1) {
		language, block := string(text[at[2]:at[3]]), string(text[at[4]:at[5]])
		switch language {
		case "sh":
			exchanges = append(exchanges, exchange{line: 1 + bytes.Count(text[:at[0]], []byte("\n")), command: block})
		case "text":
			last := len(exchanges) - 1
			if last < 0 || exchanges[last].printed != "" {
				t.Fatalf("%s: nothing is pasted that prints\n%s", page, block)
			}
			exchanges[last].printed = block
		case "yaml":
			objects += "---\n" + block
		default:
			t.Errorf("%s: blocks are sh, text or yaml, and there is one in %q", page, language)
		}
	}
	return exchanges, objects
}

// variablePart is how the pages write a part that differs each time: text without quotes, within a
// line.
const variablePart = "…"

// outputPattern returns the pattern of an output that a page shows.
func outputPattern(printed string) *regexp.Regexp {
	var all []string
	for line := range strings.Lines(printed) {
		var constants []string
		for part := range strings.SplitSeq(strings.TrimSuffix(line, "\n"), variablePart) {
			constants = append(constants, regexp.QuoteMeta(part))
		}
		all = append(all, strings.Join(constants, `[^"\n]+`)+`[ \r]*\n`)
	}
	return regexp.MustCompile(`^` + strings.Join(all, "") + `$`)
}

// pageReader is a user who pastes the commands of a page into a shell.
type pageReader struct{ url, ca, password string }

// setVariables returns the first block of a page, with its example values replaced by those of the
// test.
func (r pageReader) setVariables(t *testing.T, command string) string {
	t.Helper()
	for was, is := range map[string]string{
		"URL=https://apptoken-operator.apptoken-system.svc\n": "URL=" + r.url + "\n",
		"CA=ca.crt\n": "CA=" + r.ca + "\n",
	} {
		if !strings.Contains(command, was) {
			t.Fatalf("the first block does not say %q", was)
		}
		command = strings.ReplaceAll(command, was, is)
	}
	return command
}

// runCommands runs the commands of a page in one shell, and returns the output of each block.
func (r pageReader) runCommands(t *testing.T, exchanges []exchange) []string {
	t.Helper()
	dir := t.TempDir()
	mark := "--- " + t.Name() + " "
	var script strings.Builder
	for i, x := range exchanges {
		if i == 0 {
			x.command = r.setVariables(t, x.command)
		}
		fmt.Fprintf(&script, "echo '%s%d'\n%s", mark, i, x.command)
	}
	file := filepath.Join(dir, "page.sh")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", file)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(r.password + "\n")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	said, err := cmd.Output()
	markSecrets(said)
	printed := make([]string, len(exchanges))
	at := -1
	for line := range strings.Lines(string(said)) {
		if n, ok := strings.CutPrefix(line, mark); ok {
			at, _ = strconv.Atoi(strings.TrimSpace(n))
			continue
		}
		printed[at] += line
	}
	if err != nil {
		t.Errorf("line %d: %v\n%s%s%s", exchanges[max(at, 0)].line, err, exchanges[max(at, 0)].command, printed[max(at, 0)], &problem)
	}
	return printed[:at+1]
}

// sessionIDPattern matches the id of a session, in the response that issues it.
var sessionIDPattern = regexp.MustCompile(`(?:"session": ?"|<session>)([^"<]+)`)

// markSecrets adds every credential in a response to the plaintexts that the leak check looks for.
func markSecrets(said []byte) {
	for tok := range token.Find(said) {
		plaintexts.addText(tok.Reveal())
	}
	for _, m := range sessionIDPattern.FindAllSubmatch(said, -1) {
		plaintexts.addText(string(m[1]))
	}
}

// startWithTLS starts an operator of the test's own that serves TLS behind no gateway, and returns
// its URL and certificate.
func startWithTLS(t *testing.T) (op *operator, url, ca string) {
	t.Helper()
	o := defaultOptions()
	o.Endpoints.PlainHTTP, o.Endpoints.TrustedProxies = false, nil
	o.Endpoints.CertFile, o.Endpoints.KeyFile = writeCertificate(t)
	op = startOperator(t, o)
	return op, "https://" + loginAddress(t, op), o.Endpoints.CertFile
}

// loginAddress waits until an operator serves logins, and returns its address.
func loginAddress(t *testing.T, op *operator) string {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, maxWait, true, func(context.Context) (bool, error) {
		return op.Listeners["bind-address"].Ready() == nil, nil
	})
	if err != nil {
		t.Fatal("the endpoints are not served: ", err)
	}
	return op.Listeners["bind-address"].Addr().String()
}

// The pages about login protocols are true: the test pastes their commands into a shell, and they
// print the output that the pages show.
func TestLoginPages_CommandsPrintWhatPagesShow(t *testing.T) {
	programs.Require(t, "bash", "curl", "jq")
	_, url, ca := startWithTLS(t)
	r := pageReader{url, ca, newPassword(t)}
	createObjects(t, "README.md", r.password)
	for _, page := range []string{"funnelback.md", "squiz-dxp.md", "teletracker.md", "spectrum.md", "oauth.md", "README.md"} {
		t.Run(page, func(t *testing.T) {
			exchanges, _ := readLoginPage(t, page)
			for i, printed := range r.runCommands(t, exchanges) {
				if x := exchanges[i]; !outputPattern(x.printed).MatchString(printed) {
					t.Errorf("line %d: after\n%s\nthe page shows\n%s\nand this is printed:\n%s", x.line, x.command, x.printed, printed)
				}
			}
		})
	}
}

// createObjects creates the objects that a page declares, and the password of its one user.
func createObjects(t *testing.T, page, password string) {
	t.Helper()
	_, objects := readLoginPage(t, page)
	file := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(objects), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := kubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "alice-password"},
		Data:       map[string][]byte{"passwordHash": []byte(hashPassword(t, password))},
	}
	if err := admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // no test is to find a user of another test
		ctx := context.WithoutCancel(t.Context())
		if said, err := kubectl(ctx, "delete", "--timeout=1m", "-f", file); err != nil {
			t.Errorf("%v: %s", err, said)
		}
		if err := admin.Delete(ctx, secret); err != nil {
			t.Error(err)
		}
	})
}
