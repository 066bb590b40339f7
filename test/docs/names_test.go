package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

var (
	linkPattern     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	testNamePattern = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	metricPattern   = regexp.MustCompile(`[$]?\bapptoken_[a-z_]+[a-z]\b`)
)

func TestLinks_ResolveRelativeTargets(t *testing.T) {
	for _, p := range allPages(t) {
		for _, m := range linkPattern.FindAllStringSubmatch(p.prose(), -1) {
			to, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", p.path, err)
				continue
			}
			if to.IsAbs() {
				continue
			}
			target := p.path
			if to.Path != "" {
				target = filepath.Join(filepath.Dir(p.path), to.Path)
			}
			if _, err := os.Stat(filepath.Join(controlplane.Root(), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", p.path, m[1])
				continue
			}
			if to.Fragment != "" && !slices.Contains(anchors(t, target), to.Fragment) {
				t.Errorf("%s: %s has no heading #%s", p.path, target, to.Fragment)
			}
		}
	}
}

// anchors returns the anchors of the headings of a page.
func anchors(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for _, m := range headingPattern.FindAllStringSubmatch((page{path, readFile(t, path)}).prose(), -1) {
		all = append(all, strings.ReplaceAll(strings.ToLower(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(m[1], "")), " ", "-"))
	}
	return all
}

func TestNames_TestsExist(t *testing.T) {
	exists := map[string]bool{}
	err := filepath.WalkDir(controlplane.Root(), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				exists[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, p := range allPages(t) {
		for _, m := range testNamePattern.FindAllStringSubmatch(p.text, -1) {
			named++
			if !exists[m[1]] {
				t.Errorf("%s: there is no test %s", p.path, m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test: are they read at all?")
	}
}

func TestNames_FlagsMatchHelp(t *testing.T) {
	_, err := options.Parse([]string{"--help"}, func(string) string { return "" })
	if err == nil {
		t.Fatal("--help says nothing")
	}
	_, usages, _ := strings.Cut(err.Error(), "Usage:\n")
	want := map[string]string{}
	line := regexp.MustCompile(`^--(\S+)(?: (\S+))?\s{2,}(.*?)(?: \(default (.*)\))?$`)
	wrapped := regexp.MustCompile(`\n {20,}`)
	for text := range strings.Lines(wrapped.ReplaceAllString(usages, " ")) {
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			t.Fatalf("not understood: %q", text)
		}
		want[m[1]] = strings.Trim(m[4], `"`) + " | " + m[3]
		if m[2] == "" {
			want[m[1]] = "false | " + m[3] // the default of a boolean flag is not shown
		}
	}
	got := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\|(.*)\\| (.*) \\|$")
	for _, m := range row.FindAllStringSubmatch(readFile(t, "docs/operations.md"), -1) {
		got[m[1]] = strings.Trim(strings.TrimSpace(m[2]), "`") + " | " + m[3]
	}
	for name := range union(got, want) {
		if got[name] != want[name] {
			t.Errorf("--%s: the page says\n%s\nand --help says\n%s", name, got[name], want[name])
		}
	}
}

func union[V any](a, b map[string]V) map[string]bool {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}

func TestNames_MetricsExist(t *testing.T) {
	quoted := regexp.MustCompile(`"(apptoken_[a-z_]+)"`)
	exist := map[string]bool{}
	for _, m := range quoted.FindAllStringSubmatch(readFile(t, "internal/app/metrics/metrics.go"), -1) {
		exist[m[1]] = true
	}
	if len(exist) == 0 {
		t.Fatal("internal/app/metrics/metrics.go names no metric")
	}
	for _, p := range allPages(t) {
		for _, name := range metricPattern.FindAllString(p.text, -1) {
			if !exist[name] && !strings.HasPrefix(name, "$") { // a variable of nginx
				t.Errorf("%s: there is no metric %s", p.path, name)
			}
		}
	}
	page := readFile(t, "docs/operations.md")
	for name := range exist {
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("docs/operations.md does not list the metric %s", name)
		}
	}
}

func TestNames_ReasonsAreDocumented(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(controlplane.Root(), "api", "v1alpha1", "vocabulary.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	spec := textBelow(t, "docs/spec/")
	words := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !regexp.MustCompile(`^(Reason|Condition|Event)`).MatchString(v.Names[0].Name) {
			return true
		}
		word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		words++
		if !strings.Contains(spec, "`"+word+"` |") && !strings.Contains(spec, "| `"+word+"`") {
			t.Errorf("docs/spec explains %s nowhere", word)
		}
		return true
	})
	if words == 0 {
		t.Error("the vocabulary is empty: is it read at all?")
	}
}

func TestNames_TableColumnsMatchCRDs(t *testing.T) {
	tables := printerColumns(t)
	seen := map[string]bool{}
	for _, p := range allPages(t) {
		for line := range strings.Lines(p.text) {
			if !strings.HasPrefix(strings.TrimSpace(line), "NAME  ") {
				continue
			}
			head := strings.Join(regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(line), -1), ",")
			kind, ok := tables[head]
			if !ok {
				t.Errorf("%s: kubectl shows no kind with the columns %s", p.path, head)
			}
			seen[kind] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("of the kinds, only %v are shown as kubectl shows them", seen)
	}
}

// crdVersion holds the parts of a CRD version that the tests read.
type crdVersion struct {
	AdditionalPrinterColumns []struct {
		Name     string `json:"name"`
		Priority int    `json:"priority"`
	} `json:"additionalPrinterColumns"`
	Schema struct {
		OpenAPIV3Schema struct {
			Properties map[string]struct {
				Properties map[string]any `json:"properties"`
			} `json:"properties"`
		} `json:"openAPIV3Schema"`
	} `json:"schema"`
}

func crdVersionOf(t *testing.T, plural string) crdVersion {
	t.Helper()
	var crd struct {
		Spec struct {
			Versions []crdVersion `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "config/crd/bases/apptoken.dev_"+plural+".yaml")), &crd); err != nil {
		t.Fatal(err)
	}
	if len(crd.Spec.Versions) != 1 {
		t.Fatalf("%s: there are %d versions", plural, len(crd.Spec.Versions))
	}
	return crd.Spec.Versions[0]
}

// printerColumns returns the headers of kubectl get, with and without -o wide, and the kind of
// each.
func printerColumns(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"applicationtokens", "clients", "tokenrecords", "users"} {
		narrow, wide := []string{"NAME"}, []string{"NAME"}
		for _, c := range crdVersionOf(t, name).AdditionalPrinterColumns {
			head := strings.ToUpper(c.Name)
			wide = append(wide, head)
			if c.Priority == 0 {
				narrow = append(narrow, head)
			}
		}
		all[strings.Join(narrow, ",")], all[strings.Join(wide, ",")] = name, name
	}
	return all
}

func TestNames_FieldsAreDocumented(t *testing.T) {
	for name, kind := range map[string]string{"applicationtokens": "applicationtoken", "clients": "client", "tokenrecords": "tokenrecord", "users": "user"} {
		text := readFile(t, "docs/spec/"+kind+".md")
		schema := crdVersionOf(t, name).Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			fields := schema.Properties[part].Properties
			if len(fields) == 0 {
				t.Errorf("%s has no %s: is it read at all?", kind, part)
			}
			for field := range fields {
				if !regexp.MustCompile("`(tokens\\.|logins\\.)?" + field + "\\b").MatchString(text) {
					t.Errorf("docs/spec/%s.md does not describe %s.%s", kind, part, field)
				}
			}
		}
	}
}
