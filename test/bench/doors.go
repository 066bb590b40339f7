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
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// presenters is the maximum number of different tokens that are presented at the endpoints.
const presenters = 4096

// mostReads is how many reads per second the verifier may make in the flood.
const mostReads = 50

// doorstep holds endpoints that verify a set of tokens, in this process, and what is needed to
// compare them.
type doorstep struct {
	crowd
	*server.Doors
	reads *counted
	come  []int // numbers of the tokens that are presented
	stop  context.CancelFunc
	over  []chan error
}

// counted is a record store without records that counts lookups.
type counted struct {
	nobody
	asked atomic.Int64
}

func (c *counted) Find(ctx context.Context, d token.Digest) (record.Record, error) {
	c.asked.Add(1)
	return c.nobody.Find(ctx, d)
}

func measureDoors(ctx context.Context, b *bench) error {
	for _, size := range b.doors {
		for _, kind := range kindsOf(size, b.doors, token.Login) {
			b.say("doors: %d %s", size, recordsOf(kind))
			if err := b.atTheDoors(ctx, size, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) atTheDoors(ctx context.Context, size int, kind token.Kind) (err error) {
	c, err := gather(size, kind)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	d := &doorstep{crowd: c, reads: &counted{}, stop: stop}
	defer func() { err = errors.Join(err, d.leave()) }()
	for i := range min(size, presenters) {
		d.come = append(d.come, i*size/min(size, presenters))
	}
	verifier := verify.NewVerifier(c.index, d.reads, verify.Options{Reads: mostReads, Now: time.Now, Lookups: func(verify.Lookup) {}})
	verifier.Heard()
	d.Doors = &server.Doors{
		Verifier: verifier, Records: nobody{}, Audit: audit.New(io.Discard, time.Now), Now: time.Now,
		Metrics: server.NewMetrics(
			prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
			prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations", Buckets: prometheus.DefBuckets}, []string{"endpoint"}),
		),
	}
	r := b.report.in(fmt.Sprintf("doors, %d %s", size, recordsOf(kind)))
	doors := []func(context.Context, *bench, chapter) error{d.forwardAuth}
	if kind == token.Application { // apart from verifying, the other endpoints do the same for every kind
		doors = append(doors, d.extAuthz, d.tokenReview, d.introspection, d.flood)
	}
	for _, door := range doors {
		if err := door(ctx, b, r); err != nil {
			return err
		}
	}
	return nil
}

// serve serves h on a listener like those of the operator, and returns its address.
func (d *doorstep) serve(ctx context.Context, h http.Handler) (string, error) {
	l := &server.Listener{Address: "127.0.0.1:0", Handler: h, Log: logr.Discard()}
	if g, ok := h.(*grpc.Server); ok {
		l.Handler, l.GRPC = nil, g
	}
	ended := make(chan error, 1)
	d.over = append(d.over, ended)
	go func() { ended <- l.Start(ctx) }()
	for l.Addr() == nil {
		if err := pause(ctx, time.Millisecond); err != nil {
			return "", err
		}
	}
	return l.Addr().String(), nil
}

func (d *doorstep) leave() error {
	d.stop()
	var errs []error
	for _, ended := range d.over {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// each returns the same request for each of the presented tokens. With body, the first of these
// tokens is the credential of every request, and the body holds the token.
func (d *doorstep) each(method, path, contentType string, body func(text string) string) [][]byte {
	var list [][]byte
	for _, i := range d.come {
		credential, content := d.texts[i], ""
		if body != nil {
			credential, content = d.texts[d.come[0]], body(d.texts[i])
		}
		var lines []string
		if d.kind == token.Session {
			lines = []string{"Cookie: " + d.cookie(i)}
		}
		list = append(list, request(method, path, credential, contentType, content, lines...))
	}
	return list
}

// forwardAuth compares /verify with a handler that writes the same response without verifying, and
// with one whose response is empty.
func (d *doorstep) forwardAuth(ctx context.Context, b *bench, r chapter) error {
	door := d.Handler()
	sample := httptest.NewRecorder()
	asked := httptest.NewRequestWithContext(ctx, http.MethodGet, "/verify", nil)
	asked.Header.Set("Authorization", "Bearer "+d.texts[d.come[0]])
	if d.kind == token.Session {
		asked.Header.Set("Cookie", d.cookie(d.come[0]))
	}
	asked.RemoteAddr = net.JoinHostPort(home.String(), "1024")
	door.ServeHTTP(sample, asked)
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
	requests := d.each(http.MethodGet, "/verify?permission=search.query", "", nil)
	v, err := d.compare(ctx, b, requests, []string{"/verify", "the same answer, without looking", "an empty answer"}, door, same, empty)
	if err != nil {
		return err
	}
	r.beside("/verify, beside the same answer without looking", v[0].rate, "/s", v[1].rate, atLeast(0.9))
	r.beside("/verify, beside an empty answer", v[0].rate, "/s", v[2].rate, atLeast(0.7))
	r.beside("/verify, p99, beside the same answer without looking", micro(v[0].p99), "µs", micro(v[1].p99), atMost(1.3))
	return nil
}

// tokenReview compares /tokenreview with a handler that decodes the same request and encodes the
// same response.
func (d *doorstep) tokenReview(ctx context.Context, b *bench, r chapter) error {
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
	requests := d.each(http.MethodPost, "/tokenreview", "application/json", review)
	return besideCodec[authenticationv1.TokenReview](ctx, d, b, r, "/tokenreview", d.WebhookHandler(), requests, func(req *http.Request) error {
		return json.NewDecoder(req.Body).Decode(&authenticationv1.TokenReview{})
	})
}

// introspected is the response to an introspection.
type introspected struct {
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

func (d *doorstep) introspection(ctx context.Context, b *bench, r chapter) error {
	requests := d.each(http.MethodPost, "/oauth2/introspect", "application/x-www-form-urlencoded", func(text string) string {
		return url.Values{"token": {text}}.Encode()
	})
	return besideCodec[introspected](ctx, d, b, r, "/oauth2/introspect", d.Handler(), requests, func(req *http.Request) error {
		return req.ParseForm()
	})
}

// besideCodec compares an endpoint with a handler that only decodes the request and encodes the
// response of the endpoint.
func besideCodec[T any](ctx context.Context, d *doorstep, b *bench, r chapter, path string, door http.Handler, requests [][]byte, decode func(*http.Request) error) error {
	var said T
	codec := http.NewServeMux()
	codec.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
		if err := decode(req); err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		body, err := json.Marshal(said)
		if err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) //nolint:errcheck // the client has gone
	})
	sample, err := d.serve(ctx, door)
	if err != nil {
		return err
	}
	if err := askOnce(ctx, sample, requests[0], &said); err != nil {
		return err
	}
	v, err := d.compare(ctx, b, requests, []string{path, "decoding and encoding alone"}, door, codec)
	if err != nil {
		return err
	}
	r.beside(path+", beside decoding and encoding alone", v[0].rate, "/s", v[1].rate, atLeast(0.5))
	return nil
}

// compare measures handlers against each other. All get the same requests.
func (d *doorstep) compare(ctx context.Context, b *bench, requests [][]byte, names []string, handlers ...http.Handler) ([]volley, error) {
	var contenders []contender
	for i, h := range handlers {
		address, err := d.serve(ctx, h)
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, overHTTP(names[i], address, requests))
	}
	return b.compete(ctx, contenders...)
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
