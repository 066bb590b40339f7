package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/token"
)

// minLeakLength is the length of the shortest part of a token that counts as a leak.
const minLeakLength = 16

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// plaintextSet collects every token that was ever in a managed Secret.
type plaintextSet struct {
	mu    sync.Mutex
	found map[string]string // plaintext -> namespace
}

// collect collects until ctx ends.
func (h *plaintextSet) collect(ctx context.Context) error {
	h.found = map[string]string{}
	c, err := client.NewWithWatch(testCluster.Admin, client.Options{Scheme: app.Scheme()})
	if err != nil {
		return err
	}
	w, err := c.Watch(ctx, &corev1.SecretList{}, client.MatchingLabels{v1alpha1.LabelManaged: "true"})
	if err != nil {
		return err
	}
	go func() {
		for e := range w.ResultChan() {
			if s, ok := e.Object.(*corev1.Secret); ok {
				h.add(s)
			}
		}
	}()
	return nil
}

func (h *plaintextSet) add(s *corev1.Secret) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, value := range s.Data {
		for tok := range token.Find(value) {
			h.found[tok.Reveal()] = s.Namespace
		}
	}
}

func (h *plaintextSet) all() []string { return h.inNamespace("") }

// inNamespace returns the tokens of a namespace; with "", all.
func (h *plaintextSet) inNamespace(namespace string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []string
	for plain, where := range h.found {
		if namespace == "" || where == namespace {
			found = append(found, plain)
		}
	}
	return found
}

// addText adds a text that is as secret as a token.
func (h *plaintextSet) addText(plain string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found[plain] = "marked"
}

// tokenPattern matches the beginning of a token, plain or in base64, that need never have been in a
// Secret.
var tokenPattern = regexp.MustCompile(`at[aulsorc]_[0-9A-Za-z]{12}|YXRhX[0-9A-Za-z+/]{16}`)

// findLeaks searches everything that the operator writes, except consumers' Secrets, for the
// plaintexts, their base64 and pieces of either.
func findLeaks(ctx context.Context, plains []string) ([]string, error) {
	if len(plains) == 0 {
		return nil, fmt.Errorf("there is no plaintext to look for")
	}
	places, err := operatorOutput(ctx)
	if err != nil {
		return nil, err
	}
	wanted := leakPieces(plains)
	var problems []string
	for place, text := range places {
		if len(text) == 0 {
			return nil, fmt.Errorf("%s: nothing is there, so nothing is proved", place)
		}
		if at := tokenPattern.FindStringIndex(text); at != nil {
			problems = append(problems, fmt.Sprintf("%s: there is a token, in …%s…", place, text[max(0, at[0]-200):min(len(text), at[1]+200)]))
		}
		for at := 0; at+minLeakLength <= len(text); at++ {
			if wanted[text[at:at+minLeakLength]] {
				around := text[max(0, at-200):min(len(text), at+200)]
				problems = append(problems, fmt.Sprintf("%s: %q is of a token, in …%s…", place, text[at:at+minLeakLength], around))
				break // one of each place is enough
			}
		}
	}
	return problems, nil
}

// leakPieces returns all parts that would reveal a token: of its text, and of its base64 at any
// offset.
func leakPieces(plains []string) map[string]bool {
	all := map[string]bool{}
	cut := func(s string) {
		for at := 0; at+minLeakLength <= len(s); at++ {
			all[s[at:at+minLeakLength]] = true
		}
	}
	for _, plain := range plains {
		cut(plain)
		for before := range 3 {
			cut(base64.StdEncoding.EncodeToString([]byte(plain[before : len(plain)-(len(plain)-before)%3])))
		}
	}
	return all
}

// operatorOutput returns everything that the operator has written, by place: the objects of its
// group with their managed fields, all other objects that it may write, the metadata of Secrets,
// its log and its metrics.
func operatorOutput(ctx context.Context) (map[string]string, error) {
	cs, err := kubernetes.NewForConfig(testCluster.Admin)
	if err != nil {
		return nil, err
	}
	places := map[string]string{"the log": operatorLog.String()}
	for place, path := range map[string]string{
		"Clients":           "/apis/apptoken.dev/v1alpha1/clients",
		"Users":             "/apis/apptoken.dev/v1alpha1/users",
		"ApplicationTokens": "/apis/apptoken.dev/v1alpha1/applicationtokens",
		"TokenRecords":      "/apis/apptoken.dev/v1alpha1/tokenrecords",
		"Events":            "/apis/events.k8s.io/v1/events",
		"ConfigMaps":        "/api/v1/configmaps",
		"Leases":            "/apis/coordination.k8s.io/v1/leases",
		"Namespaces":        "/api/v1/namespaces",
		"Deployments":       "/apis/apps/v1/deployments",
		"StatefulSets":      "/apis/apps/v1/statefulsets",
		"DaemonSets":        "/apis/apps/v1/daemonsets",
	} {
		raw, err := cs.RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return nil, err
		}
		places[place] = string(raw)
	}
	raw, err := cs.RESTClient().Get().AbsPath("/api/v1/secrets").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var secrets struct {
		Items []struct {
			Metadata json.RawMessage `json:"metadata"`
		} `json:"items"`
	}
	if err := json.Unmarshal(raw, &secrets); err != nil {
		return nil, err
	}
	var bare strings.Builder
	for _, s := range secrets.Items {
		bare.Write(s.Metadata)
	}
	places["the metadata of Secrets"] = bare.String()
	for i, op := range startedOperators.all() {
		places[fmt.Sprintf("the metrics of operator %d", i)] = op.metricsText()
	}
	return places, nil
}

// metricsText returns the body of a scrape of the operator's /metrics.
func (op *operator) metricsText() string {
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(op.Metrics(), promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

// metricLines returns the lines of the operator's metrics that begin with a name and contain each
// of the texts.
func (op *operator) metricLines(name string, texts ...string) []string {
	var found []string
	for line := range strings.Lines(op.metricsText()) {
		if strings.HasPrefix(line, name) && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
