package v1alpha1_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// kubectl runs kubectl and returns its output.
func kubectl(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	config, err := plane.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--kubeconfig", filepath.Join(dir, "config"), "--cache-dir", filepath.Join(dir, "cache")}, args...)
	cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestKubectl_FindsKindsByEveryName(t *testing.T) {
	found, err := discovery.NewDiscoveryClientForConfigOrDie(plane.Admin).ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		singular   string
		namespaced bool
		short      []string
	}{
		"applicationtokens": {"applicationtoken", true, []string{"at", "apptoken"}},
		"clients":           {"client", false, []string{"atclient", "apptokenclient"}},
		"tokenrecords":      {"tokenrecord", true, []string{"atr", "tokenrec"}},
		"users":             {"user", false, []string{"atuser", "apptokenuser"}},
	}
	status := map[string]bool{}
	for _, r := range found.APIResources {
		if plural, sub, ok := strings.Cut(r.Name, "/"); ok {
			status[plural] = sub == "status"
			continue
		}
		w, ok := want[r.Name]
		if !ok {
			t.Errorf("%s are there, and this test knows nothing of them", r.Name)
		}
		delete(want, r.Name)
		if r.SingularName != w.singular || r.Namespaced != w.namespaced || !slices.Equal(r.ShortNames, w.short) || !slices.Equal(r.Categories, []string{"apptokens"}) {
			t.Errorf("%s: %+v, want %+v in the category apptokens", r.Name, r, w)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if got := slices.Sorted(maps.Keys(status)); !slices.Equal(got, []string{"applicationtokens", "clients", "tokenrecords", "users"}) {
		t.Errorf("these have a status: %v", got)
	}
}

func TestKubectl_ColumnsShowStatus(t *testing.T) {
	const ready = `conditions: [{type: Ready, status: "True", reason: Issued, message: "fine", lastTransitionTime: "2026-03-01T12:00:00Z"}]`
	cases := map[string]struct{ manifest, name, status, narrow, wide, row string }{
		"a token": {
			"token", "at",
			`{` + ready + `, client: acme, secretName: indexer-token, rotations: 4, nextRotation: "2026-03-31T12:00:00Z", current: {record: at-0, hint: …x7Qd,
			  issuedAt: "2026-03-01T12:00:00Z", expiresAt: "2026-05-30T12:00:00Z", lastUsedAt: "2026-03-02T12:00:00Z", lastUsedFrom: 10.1.2.3}}`,
			"NAME|READY|REASON|CLIENT|HINT|ROTATIONS|NEXT ROTATION|LAST USED|USED FROM|AGE",
			"NAME|READY|REASON|CLIENT|HINT|SECRET|ROTATIONS|NEXT ROTATION|EXPIRES|LAST USED|USED FROM|MESSAGE|AGE",
			"indexer|True|Issued|acme|…x7Qd|indexer-token|4|2026-03-31T12:00:00Z|2026-05-30T12:00:00Z|AGO|10.1.2.3|fine|AGO",
		},
		"a client": {
			"client", "atclient", `{` + ready + `, tokens: 3, tokensReady: 2, tokensOverCeiling: 1}`,
			"NAME|READY|STATE|TOKENS|TOKENS READY|OVER CEILING|AGE",
			"NAME|READY|STATE|TOKENS|TOKENS READY|OVER CEILING|DISPLAY NAME|REASON|AGE",
			"acme|True|Active|3|2|1|Acme Search|Issued|AGO",
		},
		"a user": {
			"user", "atuser", `{` + ready + `, username: alice@example.com, password: Hashed, sessions: 2}`,
			"NAME|READY|REASON|STATE|USERNAME|PASSWORD|SESSIONS|AGE",
			"NAME|READY|REASON|STATE|USERNAME|PASSWORD|SESSIONS|MESSAGE|AGE",
			"alice|True|Issued|Active|alice@example.com|Hashed|2|fine|AGO",
		},
		"a record": {
			"record", "atr", `{lastUsedAt: "2026-03-02T12:00:00Z", lastUsedFrom: 10.1.2.3}`,
			"NAME|KIND|CLIENT|NAMESPACE|OWNER|VERSION|STATE|SUPERSEDED|EXPIRES|LAST USED|AGE",
			"NAME|KIND|CLIENT|NAMESPACE|OWNER|VERSION|STATE|SUPERSEDED|EXPIRES|LAST USED|USED FROM|AGE",
			"at-0123456789abcdef0123456789abcdef|Login|acme|shop|indexer|1|Active|AGO|2026-03-01T13:00:00Z|AGO|10.1.2.3|AGO",
		},
	}
	gap, ago := regexp.MustCompile(` {2,}`), regexp.MustCompile(`(\||^)[0-9]+[smhdy][0-9smhd]*\b|\|<invalid>`)
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			o := read(t, c.manifest, nil)
			create(t, o)
			o.Object["status"] = decode(t, []byte(c.status), nil).Object
			if err := api.Status().Update(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			lines := func(args ...string) []string {
				return strings.Split(gap.ReplaceAllString(kubectl(t, nil, append([]string{"-n", "default", "get", c.name}, args...)...), "|"), "\n")
			}
			if got := lines()[0]; got != c.narrow {
				t.Errorf("columns: %s\nwant     %s", got, c.narrow)
			}
			wide := lines("-o", "wide")
			if wide[0] != c.wide {
				t.Errorf("wide columns: %s\nwant          %s", wide[0], c.wide)
			}
			if got := ago.ReplaceAllString(wide[1], "|AGO"); got != c.row {
				t.Errorf("row:  %s\nwant: %s", got, c.row)
			}
		})
	}
}

func TestKubectl_CategoryHoldsEveryKind(t *testing.T) {
	var want []string
	for _, k := range kinds() {
		o := read(t, k.manifests[0], nil)
		create(t, o)
		want = append(want, strings.TrimSuffix(k.plural, "s")+".apptoken.dev/"+o.GetName())
	}
	got := strings.Fields(kubectl(t, nil, "-n", "default", "get", "apptokens", "-o", "name"))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("kubectl get apptokens: %v, want %v", got, want)
	}
}

func TestKubectl_SelectsByField(t *testing.T) {
	const family = "a123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	second := combined(
		set("metadata.name", "at-9123456789abcdef0123456789abcdef"), set("spec.digest", "9123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
		set("spec.owner.name", "other"), set("spec.client", "other"), set("spec.owner.namespace", "elsewhere"), set("spec.refresh.family", family),
	)
	create(t, read(t, "record", nil))
	create(t, read(t, "record", second))
	create(t, read(t, "token", nil))
	create(t, read(t, "token-cloned", nil))
	const mine, others = "at-0123456789abcdef0123456789abcdef", "at-9123456789abcdef0123456789abcdef"
	cases := map[string]struct {
		list   client.ObjectList
		fields client.MatchingFields
		want   []string
	}{
		"records by their owner's name":      {&v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.owner.name": "indexer"}, []string{mine}},
		"records by their owner's namespace": {&v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.owner.namespace": "elsewhere"}, []string{others}},
		"records by their client":            {&v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.client": "acme"}, []string{mine}},
		"records by namespace and name":      {&v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.owner.namespace": "shop", "spec.owner.name": "indexer"}, []string{mine}},
		"records by their refresh family":    {&v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.refresh.family": family}, []string{others}},
		"records of no owner":                {&v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.owner.namespace": "shop", "spec.owner.name": "other"}, nil},
		"tokens by their client":             {&v1alpha1.ApplicationTokenList{}, client.MatchingFields{"spec.clientRef.name": "acme"}, []string{"indexer"}},
		"tokens that name no client":         {&v1alpha1.ApplicationTokenList{}, client.MatchingFields{"spec.clientRef.name": ""}, []string{"indexer-copy"}},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			if err := api.List(t.Context(), c.list, client.InNamespace("default"), c.fields); err != nil {
				t.Fatal(err)
			}
			if got := names(t, c.list); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if err := api.List(t.Context(), &v1alpha1.TokenRecordList{}, client.MatchingFields{"spec.user": "alice"}); err == nil {
		t.Error("records were selected by a field that is not selectable: did the API server ignore the selector?")
	}
}

func names(t *testing.T, list runtime.Object) []string {
	t.Helper()
	var all []string
	err := meta.EachListItem(list, func(o runtime.Object) error {
		all = append(all, o.(client.Object).GetName())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
