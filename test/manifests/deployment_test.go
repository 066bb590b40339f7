package manifests_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

func TestDeployment_SurvivesLossOfReplica(t *testing.T) {
	objects := parseObjects(t, render(t, "default"))
	d := findObject[*appsv1.Deployment](t, objects, "apptoken-system", "apptoken-operator")
	if *d.Spec.Replicas != 2 || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
		t.Errorf("it has %d replicas, of which %s may be missing in an update", *d.Spec.Replicas, d.Spec.Strategy.RollingUpdate.MaxUnavailable)
	}
	if spread := d.Spec.Template.Spec.TopologySpreadConstraints; len(spread) != 1 || spread[0].TopologyKey != corev1.LabelHostname {
		t.Errorf("replicas are not spread over hosts: %v", spread)
	}

	budget := findObject[*policyv1.PodDisruptionBudget](t, objects, d.Namespace, d.Name)
	selects, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if budget.Spec.MinAvailable.IntValue() != 1 || !selects.Matches(labels.Set(d.Spec.Template.Labels)) {
		t.Errorf("the disruption budget is %s of %s", budget.Spec.MinAvailable, selects)
	}
}

func TestDeployment_NamesPortsAndProbes(t *testing.T) {
	objects := parseObjects(t, render(t, "default"))
	d := findObject[*appsv1.Deployment](t, objects, "apptoken-system", "apptoken-operator")
	c := managerContainer(t, d)
	for flag, name := range map[string]string{
		"--metrics-bind-address": "metrics", "--health-probe-bind-address": "health",
		"--bind-address": "endpoints", "--webhook-bind-address": "webhook", "--grpc-bind-address": "ext-authz",
	} {
		i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
		if i < 0 || !slices.Contains(c.Args, flag+"=:"+strconv.Itoa(int(c.Ports[i].ContainerPort))) {
			t.Errorf("the port %s is not what %s says: %v %v", name, flag, c.Ports, c.Args)
		}
	}
	for path, probe := range map[string]*corev1.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "health" {
			t.Errorf("there is no probe of %s on the port health: %v", path, probe)
		}
	}
	scraped := findObject[*corev1.Service](t, objects, d.Namespace, d.Name+"-metrics")
	if !labels.SelectorFromSet(scraped.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) || scraped.Spec.Ports[0].TargetPort.StrVal != "metrics" {
		t.Errorf("the Service does not lead to the metrics: %v", scraped.Spec)
	}
	if env := c.Env[0]; env.Name != "POD_NAMESPACE" || env.ValueFrom.FieldRef.FieldPath != "metadata.namespace" {
		t.Errorf("the operator does not get its own namespace: %v", env)
	}
}

func TestDeployment_MountsManagedCertificate(t *testing.T) {
	objects := parseObjects(t, render(t, "default"))
	d := findObject[*appsv1.Deployment](t, objects, "apptoken-system", "apptoken-operator")
	c := managerContainer(t, d)
	service := findObject[*corev1.Service](t, objects, d.Namespace, d.Name) // the name in the certificate
	if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
		t.Errorf("the Service does not lead to the endpoints: %v", service.Spec.Selector)
	}
	for _, p := range service.Spec.Ports {
		if !slices.ContainsFunc(c.Ports, func(of corev1.ContainerPort) bool { return of.Name == p.TargetPort.StrVal }) {
			t.Errorf("the Service leads to a port %s, which is not there", p.TargetPort.StrVal)
		}
	}
	const secret = "apptoken-operator-tls"
	for _, o := range objects {
		if _, ok := o.(*corev1.Secret); ok {
			t.Errorf("the operator makes its Secret itself: to replace %s would undo the certificate", o.GetName())
		}
	}
	v := d.Spec.Template.Spec.Volumes
	if len(v) != 1 || v[0].Secret == nil || v[0].Secret.SecretName != secret || c.VolumeMounts[0].Name != v[0].Name {
		t.Fatalf("the Secret is not mounted: %v", v)
	}
	if optional := v[0].Secret.Optional; optional == nil || !*optional {
		t.Error("pods would wait for the Secret that one of them makes")
	}
	at := c.VolumeMounts[0].MountPath
	for _, arg := range []string{"--tls-secret=" + secret, "--tls-cert-file=" + at + "/tls.crt", "--tls-private-key-file=" + at + "/tls.key"} {
		if !slices.Contains(c.Args, arg) {
			t.Errorf("the operator does not get %s: %v", arg, c.Args)
		}
	}
}

func TestDeployment_LimitsResourcesAndPrivileges(t *testing.T) {
	d := deployment(t)
	c := managerContainer(t, d)
	if cpu, memory, most := c.Resources.Requests.Cpu(), c.Resources.Requests.Memory(), c.Resources.Limits.Memory(); cpu.String() != "100m" || memory.String() != "256Mi" || most.String() != "1Gi" {
		t.Errorf("it asks for %s of a processor and %s of memory, at most %s", cpu, memory, most)
	}
	// About nine tenths of the limit, in Go's spelling.
	if e := c.Env[1]; e.Name != "GOMEMLIMIT" || e.Value != "900MiB" {
		t.Errorf("garbage is not collected before the limit is reached: %v", e)
	}
	if !c.Resources.Limits.Cpu().IsZero() {
		t.Error("a processor limit makes verification wait")
	}
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
		t.Errorf("the container's security context: %v", s)
	}
	if s := d.Spec.Template.Spec.SecurityContext; !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context: %v", s)
	}
}

func TestDeployment_FlagsAreValid(t *testing.T) {
	for _, mode := range []string{"default", "namespaced"} {
		t.Run(mode, func(t *testing.T) {
			objects := parseObjects(t, render(t, mode))
			d := findObject[*appsv1.Deployment](t, objects, "apptoken-system", "apptoken-operator")
			o, err := options.Parse(managerContainer(t, d).Args, func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			if !o.LeaderElect {
				t.Error("two replicas reconcile, since no leader is elected")
			}
			if o.Namespace != d.Namespace {
				t.Errorf("where nothing says otherwise, its own namespace is %s, and it runs in %s", o.Namespace, d.Namespace)
			}
			var served []string // by the rights
			for where := range boundRights(t, objects) {
				if where != "" && where != metav1.NamespaceDefault && where != d.Namespace {
					served = append(served, where)
				}
			}
			slices.Sort(served)
			slices.Sort(o.Namespaces)
			if !slices.Equal(o.Namespaces, served) {
				t.Errorf("it serves the namespaces %v, and has rights in %v", o.Namespaces, served)
			}
		})
	}
}

func TestImage_FitsDeployment(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(controlplane.Root(), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(file), "\nFROM ")
	last := stages[len(stages)-1]
	if !regexp.MustCompile(`^gcr\.io/distroless/static:nonroot(@sha256:[0-9a-f]{64})?\n`).MatchString(last) {
		t.Fatal("the last stage of the Dockerfile is not the static base image")
	}
	user := regexp.MustCompile(`(?m)^USER ([0-9]+)(:[0-9]+)?$`).FindStringSubmatch(last)
	if user == nil || user[1] == "0" {
		t.Error("the image names no user by a number, so that runAsNonRoot cannot be checked")
	}
	if !slices.Contains(strings.Split(last, "\n"), `ENTRYPOINT ["/manager"]`) {
		t.Error("the image does not run the program")
	}
	c := managerContainer(t, deployment(t))
	if _, tag, _ := strings.Cut(c.Image, ":"); !regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(tag) {
		t.Errorf("the image is not named by a version: %s", c.Image)
	}
}

func TestPod_RunsAsAnyUserAndBeforeOthers(t *testing.T) {
	objects := parseObjects(t, render(t, "default"))
	d := findObject[*appsv1.Deployment](t, objects, "apptoken-system", "apptoken-operator")
	pod, c := d.Spec.Template.Spec, managerContainer(t, d)
	if s := pod.SecurityContext; s.RunAsUser != nil || s.RunAsGroup != nil || s.FSGroup != nil || c.SecurityContext.RunAsUser != nil || c.SecurityContext.RunAsGroup != nil {
		t.Errorf("a platform that chooses users by namespace refuses the pod: %v, %v", s, c.SecurityContext)
	}
	if class := findObject[*schedulingv1.PriorityClass](t, objects, "", pod.PriorityClassName); class.Value <= 0 || class.GlobalDefault {
		t.Errorf("the priority class %s has the value %d", class.Name, class.Value)
	}
	if pod.HostUsers != nil {
		t.Error("without the component user-namespaces, the pod is to start on every platform")
	}
	hardened := parseObjects(t, render(t, writeOverlay(t, `{resources: [config/default], components: [config/user-namespaces]}`)))
	if users := findObject[*appsv1.Deployment](t, hardened, d.Namespace, d.Name).Spec.Template.Spec.HostUsers; users == nil || *users {
		t.Error("with the component user-namespaces, the pod runs as users of the host")
	}
}

// object is any Kubernetes object.
type object interface {
	runtime.Object
	metav1.Object
}

// parseObjects decodes the objects of built-in kinds. It skips CustomResourceDefinitions, which the
// API server validates.
func parseObjects(t *testing.T, manifests []byte) []object {
	t.Helper()
	var all []object
	for r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(doc, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o.(object))
	}
}

func findObject[T object](t *testing.T, objects []object, namespace, name string) T {
	t.Helper()
	for _, o := range objects {
		if found, ok := o.(T); ok && o.GetNamespace() == namespace && o.GetName() == name {
			return found
		}
	}
	var none T
	t.Fatalf("there is no %T %s/%s", none, namespace, name)
	return none
}

func deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	return findObject[*appsv1.Deployment](t, parseObjects(t, render(t, "default")), "apptoken-system", "apptoken-operator")
}

func managerContainer(t *testing.T, d *appsv1.Deployment) corev1.Container {
	t.Helper()
	if n := len(d.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("there are %d containers", n)
	}
	return d.Spec.Template.Spec.Containers[0]
}
