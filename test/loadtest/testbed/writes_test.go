package testbed

import (
	"maps"
	"testing"
)

func TestWrites_CountedFromAPIServerMetrics(t *testing.T) {
	c, err := parseCounts(`# TYPE apiserver_request_total counter
apiserver_request_total{code="201",component="apiserver",dry_run="",group="apptoken.dev",resource="applicationtokens",scope="resource",subresource="",verb="POST",version="v1alpha1"} 3
apiserver_request_total{code="200",component="apiserver",dry_run="",group="apptoken.dev",resource="applicationtokens",scope="resource",subresource="status",verb="PUT",version="v1alpha1"} 2
apiserver_request_total{code="409",component="apiserver",dry_run="",group="apptoken.dev",resource="applicationtokens",scope="resource",subresource="status",verb="PUT",version="v1alpha1"} 1
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="secrets",scope="cluster",subresource="",verb="LIST",version="v1"} 7
apiserver_request_total{code="200",component="apiserver",dry_run="",group="coordination.k8s.io",resource="leases",scope="resource",subresource="",verb="PUT",version="v1"} 9
apiserver_response_sizes_count{verb="POST"} 5
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[Operation]int{{"POST", "applicationtokens", ""}: 3, {"PUT", "applicationtokens", "status"}: 2}
	if !maps.Equal(c.Done, want) || !maps.Equal(c.Refused, map[Operation]int{{"PUT", "applicationtokens", "status"}: 1}) {
		t.Errorf("read %v, refused %v", c.Done, c.Refused)
	}
}
