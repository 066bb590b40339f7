package logging_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/app/logging"
	"github.com/apptoken/operator/internal/testing/apptest"
	"github.com/apptoken/operator/internal/token"
)

type namedToken struct{ plain string }

func (n namedToken) String() string { return "named " + n.plain }

type loggedRequest struct {
	Method string
	Header map[string][]string
	Body   []byte
}

// leakCases holds ways in which a token gets into a log.
var leakCases = map[string]func(log logr.Logger, plain string){
	"as the message":             func(log logr.Logger, plain string) { log.Info(plain) },
	"within the message":         func(log logr.Logger, plain string) { log.Info("presented: " + plain + ", refused") },
	"as a value":                 func(log logr.Logger, plain string) { log.Info("presented", "token", plain) },
	"as a key":                   func(log logr.Logger, plain string) { log.Info("presented", plain, 1) },
	"as a key without a value":   func(log logr.Logger, plain string) { log.Info("presented", plain) },
	"as a name":                  func(log logr.Logger, plain string) { log.WithName(plain).Info("presented") },
	"as a value of the logger":   func(log logr.Logger, plain string) { log.WithValues("token", plain).Info("presented") },
	"as an error":                func(log logr.Logger, plain string) { log.Error(errors.New(plain), "refused") },
	"in a chain of errors":       func(log logr.Logger, plain string) { log.Error(fmt.Errorf("refuse: %w", errors.New(plain)), "refused") },
	"in errors that were joined": func(log logr.Logger, plain string) { log.Error(errors.Join(io.EOF, errors.New(plain)), "refused") },
	"quoted":                     func(log logr.Logger, plain string) { log.Info(fmt.Sprintf("%q %+q", plain, []string{plain})) },
	"in an address":              func(log logr.Logger, plain string) { log.Info("GET /?" + url.Values{"token": {"=" + plain}}.Encode()) },
	"in lines":                   func(log logr.Logger, plain string) { log.Info("dump", "text", "a\n"+plain+"\n\t"+plain+"\r\n") },
	"twice without a space":      func(log logr.Logger, plain string) { log.Info(plain + plain) },
	"in a list":                  func(log logr.Logger, plain string) { log.Info("presented", "tokens", []string{plain, plain}) },
	"in a map":                   func(log logr.Logger, plain string) { log.Info("presented", "tokens", map[string]string{plain: plain}) },
	"by its String":              func(log logr.Logger, plain string) { log.Info("presented", "token", namedToken{plain}) },
	"as bytes":                   func(log logr.Logger, plain string) { log.Info("read", "body", []byte(plain)) },
	"within bytes":               func(log logr.Logger, plain string) { log.Info("read", "body", []byte("token: "+plain+"\n")) },
	"as raw JSON": func(log logr.Logger, plain string) {
		log.Info("read", "body", json.RawMessage(`{"token": "`+plain+`"}`))
	},
	"in the base64 of addresses": func(log logr.Logger, plain string) {
		log.Info("GET /" + base64.RawURLEncoding.EncodeToString([]byte("?token="+plain)))
	},
	"in base64 after a line": func(log logr.Logger, plain string) {
		log.Info("data:\n" + base64.StdEncoding.EncodeToString([]byte(plain)))
	},
	"in base64 after an escape": func(log logr.Logger, plain string) {
		log.Info(`<\\` + base64.StdEncoding.EncodeToString([]byte(plain)) + "<")
	},
	"in base64 twice": func(log logr.Logger, plain string) {
		log.Info(strings.Repeat("\u2028<"+base64.URLEncoding.EncodeToString([]byte("x"+plain)), 2))
	},
	"in a request": func(log logr.Logger, plain string) {
		log.Info("sent", "request", loggedRequest{"GET", map[string][]string{"Authorization": {"Bearer " + plain}}, []byte("Bearer " + plain)})
	},
	"in a Secret": func(log logr.Logger, plain string) { log.Info("read", "secret", secretHolding(plain)) },
	"in a pointer to a list of Secrets": func(log logr.Logger, plain string) {
		log.Info("read", "secrets", &struct{ Items []corev1.Secret }{[]corev1.Secret{*secretHolding(plain)}})
	},
	"in a Secret as JSON": func(log logr.Logger, plain string) {
		raw, err := json.Marshal(secretHolding(plain))
		log.Error(err, "refused", "body", string(raw))
	},
	"in a Secret as Go": func(log logr.Logger, plain string) { log.Info(fmt.Sprintf("%+v", secretHolding(plain).StringData)) },
}

func secretHolding(plain string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "indexer", Annotations: map[string]string{"last-applied": plain}},
		Data:       map[string][]byte{"token": []byte(plain), "header": []byte("Authorization: Bearer " + plain)},
		StringData: map[string]string{"token": plain},
	}
}

func TestLog_ContainsNoToken(t *testing.T) { // [3.1] [row 1] [row 10]
	for what, mishap := range leakCases {
		t.Run(what, func(t *testing.T) {
			for kind := token.Application; kind <= token.Access; kind++ {
				var out bytes.Buffer
				log := logging.New("debug", &out)
				plain := apptest.MintToken(t, kind)
				for level := range 6 {
					mishap(log.V(level), plain)
				}
				if lines := strings.Count(out.String(), "\n"); lines < 6 {
					t.Fatalf("%d lines of 6 came out, so this shows nothing:\n%s", lines, out.String())
				}
				apptest.AssertNoToken(t, out.String(), plain)
				for line := range strings.Lines(out.String()) {
					if !json.Valid([]byte(line)) {
						t.Errorf("this is no JSON any more: %s", line)
					}
				}
			}
		})
	}
}

func TestLog_KeepsOtherText(t *testing.T) {
	var out bytes.Buffer
	log := logging.New("debug", &out)
	harmless := []string{
		"garbage-collected a record", "ata_", "at-0123456789abcdef0123456789abcdef", "…x7Qd", "shop/indexer",
		"5f8e6c1a-6d0f-4a57-9df4-0c9f1f3ad6b2", "internal/app/run.go", "https://127.0.0.1:6443/apis/apptoken.dev/v1alpha1/namespaces/shop/applicationtokens",
		base64.StdEncoding.EncodeToString([]byte("ata_ is how the token of an application begins")),
	}
	for _, text := range harmless {
		log.Info(text, "value", text)
	}
	for _, text := range harmless {
		if strings.Count(out.String(), text) != 2 {
			t.Errorf("%s is not in\n%s", text, out.String())
		}
	}
	if strings.Contains(out.String(), "redacted") {
		t.Errorf("something was taken for a token:\n%s", out.String())
	}
}

func TestLog_LevelLimitsVerbosity(t *testing.T) {
	// From 6 on, client-go logs requests.
	for level, want := range map[string]int{"error": -1, "info": 0, "debug": 5} {
		var out bytes.Buffer
		log := logging.New(level, &out)
		log.Error(errors.New("broken"), "an error")
		for v := range 12 {
			log.V(v).Info("something")
			if got := log.V(v).Enabled(); got != (v <= want) {
				t.Errorf("%s: V(%d) is enabled: %v", level, v, got)
			}
		}
		if lines := strings.Count(out.String(), "\n"); lines != 1+want+1 {
			t.Errorf("%s: %d lines, want %d:\n%s", level, lines, 1+want+1, out.String())
		}
	}
}
