package e2e_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// watchFault is a failure of the watches on one resource, while everything else passes.
type watchFault string

const (
	faultForbidden  watchFault = "refused"
	faultError      watchFault = "failing"
	faultHang       watchFault = "hanging"
	faultDropEvents watchFault = "swallowed" // the connection stays, and nothing is delivered on it
)

// faultProxy is a proxy to the API server that can disturb the watches on a resource, or abort
// every request.
type faultProxy struct {
	*httptest.Server
	to http.Handler

	mu             sync.Mutex
	down           bool
	faults         map[string]watchFault    // by resource
	open           map[*http.Request]func() // ends each request
	watches        map[*http.Request]string // the resource of each watch
	bookmarkCounts map[string]int           // bookmarks that have passed, by resource
}

// newFaultProxy starts a proxy, and returns a configuration that reaches the API server through it.
func newFaultProxy(t *testing.T, to *rest.Config) (*faultProxy, *rest.Config) {
	t.Helper()
	transport, err := rest.TransportFor(to)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(to.Host)
	if err != nil || server.Host == "" {
		server = &url.URL{Host: to.Host}
	}
	server.Scheme = "https"
	v := &faultProxy{
		to: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) }, Transport: transport, FlushInterval: -1,
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		},
		faults: map[string]watchFault{}, open: map[*http.Request]func(){}, watches: map[*http.Request]string{}, bookmarkCounts: map[string]int{},
	}
	v.Server = httptest.NewServer(v)
	t.Cleanup(func() {
		v.endRequests(func(*http.Request) bool { return true })
		v.Close()
	})
	return v, &rest.Config{Host: v.URL}
}

// ServeHTTP forwards a request, unless it is disturbed.
func (v *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, end := context.WithCancel(r.Context())
	defer end()
	r = r.WithContext(ctx)
	resource := ""
	if q := r.URL.Query().Get("watch"); q == "true" || q == "1" {
		resource = path.Base(r.URL.Path)
	}
	v.mu.Lock()
	down, how := v.down, v.faults[resource]
	v.open[r], v.watches[r] = end, resource
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.open, r)
		delete(v.watches, r)
	}()
	switch {
	case down:
		panic(http.ErrAbortHandler)
	case how == faultForbidden:
		http.Error(w, "forbidden", http.StatusForbidden)
	case how == faultError:
		http.Error(w, "out of order", http.StatusInternalServerError)
	case how == faultHang:
		<-ctx.Done()
	default:
		v.to.ServeHTTP(&eventFilter{ResponseWriter: w, proxy: v, resource: resource}, r)
	}
}

// eventFilter drops the events of a watch while it is swallowed.
type eventFilter struct {
	http.ResponseWriter
	proxy    *faultProxy
	resource string
}

func (g *eventFilter) Write(b []byte) (int, error) {
	g.proxy.mu.Lock()
	drop := g.resource != "" && g.proxy.faults[g.resource] == faultDropEvents
	if g.resource != "" && !drop && bytes.Contains(b, []byte("BOOKMARK")) && !bytes.Contains(b, []byte(metav1.InitialEventsAnnotationKey)) {
		g.proxy.bookmarkCounts[g.resource]++
	}
	g.proxy.mu.Unlock()
	if drop {
		return io.Discard.Write(b)
	}
	return g.ResponseWriter.Write(b)
}

// Unwrap lets the proxy flush.
func (g *eventFilter) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// setFault sets the disturbance of the watches on a resource from now on; with "", none.
func (v *faultProxy) setFault(resource string, how watchFault) {
	v.mu.Lock()
	v.faults[resource] = how
	v.mu.Unlock()
	if how != faultDropEvents {
		v.endRequests(func(r *http.Request) bool { return v.watches[r] == resource })
	}
}

// bookmarks returns how many bookmarks have passed on the watches of a resource.
func (v *faultProxy) bookmarks(resource string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bookmarkCounts[resource]
}

// setDown makes the API server unreachable, or reachable again.
func (v *faultProxy) setDown(down bool) {
	v.mu.Lock()
	v.down = down
	v.mu.Unlock()
	if down {
		v.endRequests(func(*http.Request) bool { return true })
	}
}

func (v *faultProxy) endRequests(which func(*http.Request) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for r, end := range v.open {
		if which(r) {
			end()
		}
	}
}

// startServing starts the elected replica, whose connection to the API server is never disturbed.
// It returns a tenant and its token.
func startServing(t *testing.T) (shop *tenant, text string) {
	t.Helper()
	o := defaultOptions()
	o.LeaderElect = true
	shop = newTenant(t, startOperator(t, o))
	shop.declareToken("indexer", `{roles: [primary]}`)
	shop.waitReady("indexer")
	return shop, shop.tokenText("indexer")
}

// startBehindProxy starts a replica behind a fault proxy, and returns it with the URL of its
// readiness probe.
func startBehindProxy(t *testing.T, maxStaleness time.Duration) (v *faultProxy, op *operator, health string) {
	t.Helper()
	v, to := newFaultProxy(t, operatorConfig())
	o := defaultOptions()
	o.LeaderElect, o.HealthAddress, o.Endpoints.MaxStaleness = true, freeAddress(t), maxStaleness
	op, err := runOperatorAt(to, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := op.stop(); err != nil {
			t.Error(err)
		}
	})
	return v, op, "http://" + o.HealthAddress + "/readyz"
}

// viaReplica returns a view of a tenant through another replica.
func (w *tenant) viaReplica(t *testing.T, op *operator) *tenant {
	view := *w
	view.T, view.op = t, op
	return &view
}

// readyz returns the status and text of a readiness probe.
func readyz(ctx context.Context, url string) (status int, text string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// [3.7] A watch that is lost while the API server answers hides changes.
func TestStaleness_EachWatchLostCloses(t *testing.T) {
	shop, text := startServing(t)
	kinds := []struct{ kind, resource string }{
		{"TokenRecord", "tokenrecords"}, {"Client", "clients"}, {"User", "users"},
		{"ApplicationToken", "applicationtokens"}, {"Namespace", "namespaces"}, {"Secret", "secrets"},
	}
	type replica struct {
		*faultProxy
		*operator
		health string
	}
	replicas := make([]replica, len(kinds))
	for i := range kinds {
		v, op, health := startBehindProxy(t, 5*time.Second)
		replicas[i] = replica{v, op, health}
	}
	for i, k := range kinds {
		t.Run(k.kind, func(t *testing.T) {
			t.Parallel()
			v, health := replicas[i].faultProxy, replicas[i].health
			w := shop.viaReplica(t, replicas[i].operator)
			serving := func(sentence string) {
				t.Helper()
				w.eventually(sentence, func(ctx context.Context) bool {
					status, _ := readyz(ctx, health)
					return status == http.StatusOK && w.verifyToken(text, "", "192.0.2.1").status == http.StatusOK
				})
			}
			serving("it serves")
			w.eventually("it has had bookmarks", func(context.Context) bool { return v.bookmarks(k.resource) >= 2 })
			for _, how := range []watchFault{faultForbidden, faultDropEvents, faultHang, faultError} {
				v.setFault(k.resource, how)
				w.eventually("closed, since its watch is "+string(how), func(ctx context.Context) bool {
					status, said := readyz(ctx, health)
					return w.verifyToken(text, "", "192.0.2.1").status == http.StatusServiceUnavailable &&
						status == http.StatusServiceUnavailable && strings.Contains(said, "watch on "+k.kind)
				})
				if found := w.op.metricLines(`apptoken_watch_lost{kind="` + k.kind + `"} 1`); len(found) != 1 {
					t.Errorf("the metric says %v", w.op.metricLines("apptoken_watch_"))
				}
				if !strings.Contains(operatorLog.String(), `"kinds":["`+k.kind+`"]`) {
					t.Errorf("the log does not name %s", k.kind)
				}
				v.setFault(k.resource, "")
				serving("it serves again after its watch was " + string(how))
			}
		})
	}
}

// A client is suspended behind a lost watch.
func TestStaleness_SuspensionBehindLostWatch(t *testing.T) {
	shop, text := startServing(t)
	v, op, health := startBehindProxy(t, 5*time.Second)
	w := shop.viaReplica(t, op)
	w.eventually("it is accepted", func(ctx context.Context) bool {
		status, _ := readyz(ctx, health)
		return status == http.StatusOK && w.verifyToken(text, "", "192.0.2.1").status == http.StatusOK
	})
	w.eventually("it has had bookmarks", func(context.Context) bool { return v.bookmarks("clients") >= 2 })
	v.setFault("clients", faultDropEvents)
	w.editClient(`{state: Suspended}`)
	w.eventually("it is accepted no more", func(context.Context) bool {
		return w.verifyToken(text, "", "192.0.2.1").status == http.StatusServiceUnavailable
	})
	v.setFault("clients", "")
	w.eventually("it is refused", func(context.Context) bool {
		status := w.verifyToken(text, "", "192.0.2.1").status
		if status == http.StatusOK {
			t.Fatal("it is accepted once the watch is back")
		}
		return status == http.StatusUnauthorized
	})
}

// The elected replica loses the Lease in the outage, which must not end its process.
func TestStaleness_OutageServesFromMemory(t *testing.T) {
	const limit = 20 * time.Second
	if commonOperator.op != nil {
		t.Fatal("the operator that tests share runs already, and could be the one that reconciles")
	}
	v, op, health := startBehindProxy(t, limit)
	w := newTenant(t, op)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	w.waitReady("indexer")
	text := w.tokenText("indexer")
	serving := func(ctx context.Context) bool {
		status, _ := readyz(ctx, health)
		return status == http.StatusOK && w.verifyToken(text, "", "192.0.2.1").status == http.StatusOK
	}
	w.eventually("it serves", serving)
	began := time.Now()
	v.setDown(true)
	w.eventually("it serves from memory", func(ctx context.Context) bool {
		within := time.Since(began) < limit-5*time.Second
		if within && !serving(ctx) && time.Since(began) < limit-4*time.Second {
			status, said := readyz(ctx, health)
			t.Fatalf("%s after the beginning of the outage: %d %s", time.Since(began), status, said)
		}
		return !within
	})
	w.eventually("it is closed after the limit", func(ctx context.Context) bool {
		status, said := readyz(ctx, health)
		return status == http.StatusServiceUnavailable && strings.Contains(said, "the API server has not answered") &&
			w.verifyToken(text, "", "192.0.2.1").status == http.StatusServiceUnavailable
	})
	v.setDown(false)
	w.eventually("it serves again", serving)
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2) // by the same process
}
