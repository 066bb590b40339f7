package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// maxPresented is the maximum number of different tokens that are presented at the endpoints.
const maxPresented = 4096

// maxReads is how many reads per second the verifier may make in the flood.
const maxReads = 50

// endpointBench holds endpoints that verify a set of tokens, in this process, and what is needed to
// compare them.
type endpointBench struct {
	tokenSet
	*server.Endpoints
	reads     *countingStore
	presented []int // numbers of the tokens that are presented
	stop      context.CancelFunc
	ended     []chan error
}

// countingStore is a record store without records that counts lookups.
type countingStore struct {
	emptyStore
	asked atomic.Int64
}

func (c *countingStore) Find(ctx context.Context, d token.Digest) (record.Record, error) {
	c.asked.Add(1)
	return c.emptyStore.Find(ctx, d)
}

func measureEndpoints(ctx context.Context, b *bench) error {
	for _, size := range b.endpoints {
		for _, kind := range kindsAt(size, b.endpoints, token.Login) {
			b.logf("endpoints: %d %s", size, recordsLabel(kind))
			if err := measureEndpointsOf(ctx, b, size, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func measureEndpointsOf(ctx context.Context, b *bench, size int, kind token.Kind) (err error) {
	c, err := newTokenSet(size, kind)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	d := &endpointBench{tokenSet: c, reads: &countingStore{}, stop: stop}
	defer func() { err = errors.Join(err, d.stopListeners()) }()
	for i := range min(size, maxPresented) {
		d.presented = append(d.presented, i*size/min(size, maxPresented))
	}
	verifier := verify.NewVerifier(c.index, d.reads, verify.Options{LookupsPerSecond: maxReads, Now: time.Now, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	d.Endpoints = &server.Endpoints{
		Base: endpoint.Base{
			Verifier: verifier,
			Audit:    audit.New(io.Discard, time.Now),
			Now:      time.Now,
			Metrics: endpoint.NewMetrics(
				prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
				prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations", Buckets: prometheus.DefBuckets}, []string{"endpoint"}),
			),
		},
		Records: emptyStore{},
	}
	r := b.report.section(fmt.Sprintf("endpoints, %d %s", size, recordsLabel(kind)))
	measurements := []func(context.Context, *bench, reportSection) error{d.forwardAuth}
	if kind == token.Application { // apart from verifying, the other endpoints do the same for every kind
		measurements = append(measurements, d.extAuthz, d.tokenReview, d.introspection, d.flood)
	}
	for _, measure := range measurements {
		if err := measure(ctx, b, r); err != nil {
			return err
		}
	}
	return nil
}

// serve serves h on a listener like those of the operator, and returns its address.
func (d *endpointBench) serve(ctx context.Context, h http.Handler) (string, error) {
	l := &server.Listener{Address: "127.0.0.1:0", Handler: h, Log: logr.Discard()}
	if g, ok := h.(*grpc.Server); ok {
		l.Handler, l.GRPC = nil, g
	}
	ended := make(chan error, 1)
	d.ended = append(d.ended, ended)
	go func() { ended <- l.Start(ctx) }()
	for l.Addr() == nil {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return "", err
		}
	}
	return l.Addr().String(), nil
}

func (d *endpointBench) stopListeners() error {
	d.stop()
	var errs []error
	for _, ended := range d.ended {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// requests returns the same request for each of the presented tokens. With body, the first of these
// tokens is the credential of every request, and the body holds the token.
func (d *endpointBench) requests(method, path, contentType string, body func(text string) string) [][]byte {
	var list [][]byte
	for _, i := range d.presented {
		credential, content := d.texts[i], ""
		if body != nil {
			credential, content = d.texts[d.presented[0]], body(d.texts[i])
		}
		var lines []string
		if d.kind == token.Session {
			lines = []string{"Cookie: " + d.cookie(i)}
		}
		list = append(list, rawRequest(method, path, credential, contentType, content, lines...))
	}
	return list
}

// forwardAuth compares /verify with a handler that writes the same response without verifying, and
// with one whose response is empty.
func (d *endpointBench) forwardAuth(ctx context.Context, b *bench, r reportSection) error {
	handler := d.Handler()
	sample := httptest.NewRecorder()
	asked := httptest.NewRequestWithContext(ctx, http.MethodGet, "/verify", nil)
	asked.Header.Set("Authorization", "Bearer "+d.texts[d.presented[0]])
	if d.kind == token.Session {
		asked.Header.Set("Cookie", d.cookie(d.presented[0]))
	}
	asked.RemoteAddr = net.JoinHostPort(loopbackAddress.String(), "1024")
	handler.ServeHTTP(sample, asked)
	if sample.Code != http.StatusOK {
		return fmt.Errorf("/verify answers %d to a good token", sample.Code)
	}
	same := http.NewServeMux()
	same.HandleFunc("/verify", func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		for name, values := range sample.Header() {
			header[name] = []string{values[0]}
		}
		w.WriteHeader(http.StatusOK)
	})
	empty := http.NewServeMux()
	empty.HandleFunc("/verify", func(http.ResponseWriter, *http.Request) {})
	requests := d.requests(http.MethodGet, "/verify?permission=search.query", "", nil)
	v, err := d.compare(ctx, b, requests, []string{"/verify", "the same answer, without looking", "an empty answer"}, handler, same, empty)
	if err != nil {
		return err
	}
	r.addRatio("/verify, beside the same answer without looking", v[0].rate, "/s", v[1].rate, atLeast(0.9))
	r.addRatio("/verify, beside an empty answer", v[0].rate, "/s", v[2].rate, atLeast(0.7))
	r.addRatio("/verify, p99, beside the same answer without looking", microseconds(v[0].p99), "µs", microseconds(v[1].p99), atMost(1.3))
	return nil
}

// tokenReview compares /tokenreview with a handler that decodes the same request and encodes the
// same response.
func (d *endpointBench) tokenReview(ctx context.Context, b *bench, r reportSection) error {
	review := func(text string) string {
		body, err := json.Marshal(authenticationv1.TokenReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
			Spec:     authenticationv1.TokenReviewSpec{Token: text, Audiences: []string{"https://kubernetes.default.svc"}},
		})
		if err != nil {
			return ""
		}
		return string(body)
	}
	requests := d.requests(http.MethodPost, "/tokenreview", "application/json", review)
	e := codecEndpoint{path: "/tokenreview", handler: d.WebhookHandler(), requests: requests, response: &authenticationv1.TokenReview{}, decode: func(req *http.Request) error {
		return json.NewDecoder(req.Body).Decode(&authenticationv1.TokenReview{})
	}}
	return d.compareWithCodec(ctx, b, r, e)
}

// introspectionResponse is the response to an introspection.
type introspectionResponse struct {
	Active      bool     `json:"active"`
	Scope       string   `json:"scope,omitempty"`
	ClientID    string   `json:"client_id,omitempty"`
	TokenType   string   `json:"token_type,omitempty"`
	Expires     int64    `json:"exp,omitempty"`
	IssuedAt    int64    `json:"iat,omitempty"`
	Subject     string   `json:"sub,omitempty"`
	ID          string   `json:"jti,omitempty"`
	Kind        string   `json:"apptoken_kind,omitempty"`
	Roles       []string `json:"apptoken_roles,omitempty"`
	Permissions []string `json:"apptoken_permissions,omitempty"`
}

func (d *endpointBench) introspection(ctx context.Context, b *bench, r reportSection) error {
	requests := d.requests(http.MethodPost, "/oauth2/introspect", "application/x-www-form-urlencoded", func(text string) string {
		return url.Values{"token": {text}}.Encode()
	})
	e := codecEndpoint{path: "/oauth2/introspect", handler: d.Handler(), requests: requests, response: &introspectionResponse{}, decode: (*http.Request).ParseForm}
	return d.compareWithCodec(ctx, b, r, e)
}

// codecEndpoint is an endpoint with a body in its request and response.
type codecEndpoint struct {
	path     string
	handler  http.Handler
	requests [][]byte
	response any // pointer to the type of the response
	decode   func(*http.Request) error
}

// compareWithCodec compares an endpoint with a handler that only decodes the request and encodes
// the response of the endpoint.
func (d *endpointBench) compareWithCodec(ctx context.Context, b *bench, r reportSection, e codecEndpoint) error {
	codec := http.NewServeMux()
	codec.HandleFunc(e.path, func(w http.ResponseWriter, req *http.Request) {
		if err := e.decode(req); err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		body, err := json.Marshal(e.response)
		if err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) //nolint:errcheck // the client has gone
	})
	sample, err := d.serve(ctx, e.handler)
	if err != nil {
		return err
	}
	if err := askOnce(ctx, sample, e.requests[0], e.response); err != nil {
		return err
	}
	v, err := d.compare(ctx, b, e.requests, []string{e.path, "decoding and encoding alone"}, e.handler, codec)
	if err != nil {
		return err
	}
	r.addRatio(e.path+", beside decoding and encoding alone", v[0].rate, "/s", v[1].rate, atLeast(0.5))
	return nil
}

// compare measures handlers against each other. All get the same requests.
func (d *endpointBench) compare(ctx context.Context, b *bench, requests [][]byte, names []string, handlers ...http.Handler) ([]loadResult, error) {
	var contenders []loadTarget
	for i, h := range handlers {
		address, err := d.serve(ctx, h)
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, httpTarget(names[i], address, requests))
	}
	return b.turnsOf(b.turn).compareLoad(ctx, contenders...)
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
