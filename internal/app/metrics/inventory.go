package metrics

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/verify"
)

// Inventory counts the objects in the caches at each scrape, so that no counter has to be kept
// consistent with them.
type Inventory struct {
	Reader    client.Reader
	IsLeading func() bool // only the leader exports the metrics of tokens: each counts once
	Index     *verify.Index
	Now       func() time.Time
}

// Describe implements prometheus.Collector.
func (Inventory) Describe(out chan<- *prometheus.Desc) {
	out <- tokensDesc
	out <- expiryDesc
	out <- recordsDesc
}

// Collect implements prometheus.Collector.
func (v Inventory) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(recordsDesc, prometheus.GaugeValue, float64(v.Index.Len()))
	if !v.IsLeading() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var clients v1alpha1.ClientList
	var tokens v1alpha1.ApplicationTokenList
	for _, list := range []client.ObjectList{&clients, &tokens} {
		if err := v.Reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return // the cache starts or stops; a later scrape has the metrics
		}
	}
	for k, n := range countByClient(clients.Items, tokens.Items) {
		out <- prometheus.MustNewConstMetric(tokensDesc, prometheus.GaugeValue, float64(n), k.client, k.state)
	}
	for _, at := range soonestToExpire(tokens.Items) {
		left := at.Status.Current.ExpiresAt.Sub(v.Now()).Seconds()
		out <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, left, at.Namespace, at.Name)
	}
}

// tokenLabels holds the labels of a series of tokensDesc.
type tokenLabels struct{ client, state string }

// countByClient counts tokens by client and state. A name that a tenant made up does not become a
// label: tokens of clients that do not exist are counted together, under an empty name.
func countByClient(clients []v1alpha1.Client, tokens []v1alpha1.ApplicationToken) map[tokenLabels]int {
	exists := make(map[string]bool, len(clients))
	for i := range clients {
		exists[clients[i].Name] = true
	}
	counts := map[tokenLabels]int{}
	for i := range tokens {
		name := clientOf(&tokens[i])
		if !exists[name] {
			name = ""
		}
		counts[tokenLabels{name, stateOf(&tokens[i])}]++
	}
	return counts
}

// maxExpirySeries limits the series of expiryDesc.
const maxExpirySeries = 100

// soonestToExpire returns the tokens that expire first, at most maxExpirySeries. The first token of
// each namespace precedes the second of any other. So a namespace of many short-lived tokens does
// not hide the tokens of another.
func soonestToExpire(tokens []v1alpha1.ApplicationToken) []*v1alpha1.ApplicationToken {
	byNamespace := map[string][]*v1alpha1.ApplicationToken{}
	for i := range tokens {
		if c := tokens[i].Status.Current; c != nil && c.ExpiresAt != nil {
			byNamespace[tokens[i].Namespace] = append(byNamespace[tokens[i].Namespace], &tokens[i])
		}
	}
	type ranked struct {
		*v1alpha1.ApplicationToken
		rank int // in its namespace
	}
	sooner := func(a, b *v1alpha1.ApplicationToken) int {
		return cmp.Or(a.Status.Current.ExpiresAt.Compare(b.Status.Current.ExpiresAt.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	}
	var all []ranked
	for _, list := range byNamespace {
		slices.SortFunc(list, sooner)
		for rank, at := range list[:min(len(list), maxExpirySeries)] {
			all = append(all, ranked{at, rank})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), sooner(a.ApplicationToken, b.ApplicationToken))
	})
	var first []*v1alpha1.ApplicationToken
	for _, r := range all[:min(len(all), maxExpirySeries)] {
		first = append(first, r.ApplicationToken)
	}
	return first
}

func clientOf(at *v1alpha1.ApplicationToken) string {
	if at.Spec.ClientRef != nil {
		return string(at.Spec.ClientRef.Name)
	}
	return at.Status.Client
}

func stateOf(at *v1alpha1.ApplicationToken) string {
	switch c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady); {
	case c == nil:
		return "New"
	case c.Status == metav1.ConditionTrue:
		return "Ready"
	default:
		return c.Reason
	}
}
