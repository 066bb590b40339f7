package e2e_test

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// operatorSecret returns the Secret that the operator would write for a token, so that a case
// states only its difference.
func (w *tenant) operatorSecret(token, name string, twist func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.name, Name: name,
			Labels:      map[string]string{v1alpha1.LabelManaged: "true", v1alpha1.LabelToken: token},
			Annotations: map[string]string{v1alpha1.AnnotationRecord: "at-1"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "ApplicationToken", Name: token, UID: "1", Controller: new(true),
			}},
		},
		Type: corev1.SecretTypeOpaque,
	}
	twist(s)
	return s
}

func TestPolicy_RefusesTakeoverOfSecrets(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	w.waitReady("indexer")
	managed := w.secret("indexer")
	foreign := w.foreignSecret("password", nil)
	labelled := w.foreignSecret("labelled", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.LabelManaged: "true"} })
	others := w.foreignSecret("others", func(s *corev1.Secret) {
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationRecord: "at-1"}
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "1", Controller: new(true)}}
	})
	offered := w.foreignSecret("offered-elsewhere", func(s *corev1.Secret) {
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "other"}
	})
	held := w.secret("indexer").Data["token"]
	half := w.foreignSecret("half", func(s *corev1.Secret) { s.Data = map[string][]byte{"token": held[:40]} })
	copied := w.foreignSecret("copied", func(s *corev1.Secret) {
		s.Data = map[string][]byte{"token": held}
		s.OwnerReferences = others.OwnerReferences
	})
	steal := func(s *corev1.Secret) { // with the marks that the operator sets on its own Secrets
		own := w.operatorSecret("indexer", s.Name, func(*corev1.Secret) {})
		s.Labels, s.Annotations, s.OwnerReferences = own.Labels, own.Annotations, own.OwnerReferences
		s.Data = map[string][]byte{"password": []byte("of a thief")}
	}
	forAccount := func(s *corev1.Secret) {
		s.Type = corev1.SecretTypeServiceAccountToken
		s.Annotations[corev1.ServiceAccountNameKey] = "default"
	}
	plain := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "sa", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	w.assertRefused([]takeover{
		{"a token of a service account", createWrite(plain)},
		{"the same, dressed as the operator's", createWrite(w.operatorSecret("indexer", "sa", forAccount))},
		{"a bootstrap token", createWrite(w.operatorSecret("indexer", "bootstrap-token-abcdef", func(s *corev1.Secret) { s.Type = corev1.SecretTypeBootstrapToken }))},
		{"another type", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.Type = "helm.sh/release.v1" }))},
		{"no label", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelManaged) }))},
		{"another value of the label", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.Labels[v1alpha1.LabelManaged] = "yes" }))},
		{"no owner", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.OwnerReferences = nil }))},
		{"an owner that does not control it", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.OwnerReferences[0].Controller = nil }))},
		{"an owner of another kind", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.OwnerReferences[0].Kind = "Client" }))},
		{"an owner of another group", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.OwnerReferences[0].APIVersion = "example.com/v1" }))},
		{"the owner is another token", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.OwnerReferences[0].Name = "other" }))},
		{"an annotation of kubernetes.io", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountNameKey] = "default" }))},
		{"a label of k8s.io", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.Labels["k8s.io/x"] = "y" }))},
		{"a finalizer", createWrite(w.operatorSecret("indexer", "a", func(s *corev1.Secret) { s.Finalizers = []string{"example.com/x"} }))},
		{"a foreign Secret is changed", updateWrite(foreign, func(s *corev1.Secret) { s.Data = nil })},
		{"a foreign Secret is taken over", updateWrite(foreign, steal)},
		{"a foreign Secret is deleted", deleteWrite(foreign)},
		{"all Secrets of a namespace are deleted", func(ctx context.Context, c client.Client) error {
			return c.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(w.name))
		}},
		{"a Secret with the label alone is taken over", updateWrite(labelled, steal)},
		{"a Secret with the label alone is deleted", deleteWrite(labelled)},
		{"a Secret that something else controls is taken over", updateWrite(others, steal)},
		{"a Secret that something else controls is deleted", deleteWrite(others)},
		{"a Secret that is offered to another token is taken over", updateWrite(offered, steal)},
		{"a Secret with a part of a token is taken over", updateWrite(half, steal)},
		{"a Secret with a token that something else controls is taken over", updateWrite(copied, steal)},
		{"a Secret with a token that something else controls is deleted", deleteWrite(copied)},
		{"the label is taken off", updateWrite(managed, func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelManaged) })},
		{"the owner is taken off", updateWrite(managed, func(s *corev1.Secret) { s.OwnerReferences = nil })},
		{"an annotation of kubernetes.io is added", updateWrite(managed, func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountNameKey] = "default" })},
	})
}

func TestPolicy_RefusesTakeoverOfSecretsInOwnNamespace(t *testing.T) {
	w := newSharedTenant(t)
	p := w.newUser("bob")
	password := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: p.user}}
	elsewhere := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "apptoken-operator-tls"}}
	w.must(admin.Create(t.Context(), elsewhere.DeepCopy()))
	certificate := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "apptoken-operator-tls"}}
	w.must(client.IgnoreAlreadyExists(admin.Create(t.Context(), certificate.DeepCopy())))
	w.assertRefused([]takeover{
		{"the password of a user", updateWrite(password, func(s *corev1.Secret) { s.Data = map[string][]byte{"password": []byte("of a thief")} })},
		{"the password is deleted", deleteWrite(password)},
		{"another Secret of the certificate's name", updateWrite(elsewhere, func(s *corev1.Secret) { s.Data = map[string][]byte{"tls.crt": nil} })},
		{"the certificate is deleted", deleteWrite(certificate)},
		{"another Secret is made in the operator's namespace", createWrite(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "other"}})},
		{"a Secret of the certificate's name is made elsewhere", createWrite(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "apptoken-operator-tls"}})},
		{"the certificate is made with another key", createWrite(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "apptoken-operator-tls"}, Data: map[string][]byte{"password": []byte("of a thief")},
		})},
		{"the certificate is made with a label", createWrite(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "apptoken-operator-tls", Labels: map[string]string{v1alpha1.LabelManaged: "true"}},
		})},
		{"the certificate is made as a token of a service account", createWrite(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "apptoken-operator-tls", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		})},
		{"the certificate gets another key", updateWrite(certificate, func(s *corev1.Secret) { s.Data = map[string][]byte{"password": nil} })},
		{"the certificate gets an annotation", updateWrite(certificate, func(s *corev1.Secret) { s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"} })},
		{"the certificate gets a label", updateWrite(certificate, func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.LabelManaged: "true"} })},
	})
	renewal := updateWrite(certificate, func(s *corev1.Secret) { s.Data = map[string][]byte{"tls.crt": nil} })
	// Another test uses the certificate, so the renewal is dry.
	if err := renewal(t.Context(), client.NewDryRunClient(w.stolenClient())); err != nil {
		t.Errorf("the certificate cannot be renewed: %v", err)
	}
}

func TestPolicy_RefusesTakeoverOfWorkloads(t *testing.T) {
	w := newSharedTenant(t)
	for kind, o := range map[string]client.Object{"Deployment": &appsv1.Deployment{}, "StatefulSet": &appsv1.StatefulSet{}, "DaemonSet": &appsv1.DaemonSet{}} {
		w.createWorkload(kind, "reader")
		o.SetNamespace(w.name)
		o.SetName("reader")
		w.must(admin.Patch(t.Context(), o, mergePatch(t, "metadata", `{annotations: {example.com/a: b}, labels: {a: b}, finalizers: [example.com/x]}`)))
		w.must(admin.Patch(t.Context(), o, mergePatch(t, "spec", `{template: {metadata: {annotations: {example.com/a: b}}}}`)))
		w.T.Run(kind, func(t *testing.T) {
			w := &tenant{T: t, name: w.name, op: w.op}
			var all []takeover
			for sentence, spec := range map[string]string{
				"an image":                  `{template: {spec: {containers: [{name: reader, image: evil}]}}}`,
				"a variable":                `{template: {spec: {containers: [{name: reader, image: reader, env: [{name: A, value: b}]}]}}}`,
				"a command":                 `{template: {spec: {containers: [{name: reader, image: reader, command: [sh]}]}}}`,
				"a container":               `{template: {spec: {containers: [{name: reader, image: reader}, {name: evil, image: evil}]}}}`,
				"an init container":         `{template: {spec: {initContainers: [{name: evil, image: evil}]}}}`,
				"the service account":       `{template: {spec: {serviceAccountName: admin}}}`,
				"a volume":                  `{template: {spec: {volumes: [{name: v, secret: {secretName: other}}]}}}`,
				"the host's network":        `{template: {spec: {hostNetwork: true}}}`,
				"the security context":      `{template: {spec: {securityContext: {runAsUser: 0}}}}`,
				"another annotation":        `{template: {metadata: {annotations: {sidecar.istio.io/inject: "false"}}}}`,
				"a changed annotation":      `{template: {metadata: {annotations: {example.com/a: c}}}}`,
				"an annotation taken off":   `{template: {metadata: {annotations: {example.com/a: null}}}}`,
				"another label of pods":     `{template: {metadata: {labels: {other: x}}}}`,
				"a mark and an image":       `{template: {metadata: {annotations: {restart.apptoken.dev/indexer: at-1}}, spec: {containers: [{name: reader, image: evil}]}}}`,
				"a domain that looks alike": `{template: {metadata: {annotations: {restart.apptoken.dev.example.com/x: other}}}}`,
				"how many revisions stay":   `{revisionHistoryLimit: 0}`,
				"how soon a pod counts":     `{minReadySeconds: 7}`,
			} {
				all = append(all, takeover{sentence, patchWrite(t, o, "spec", spec)})
			}
			for sentence, metadata := range map[string]string{
				"an annotation of the workload": `{annotations: {example.com/a: c}}`,
				"a label of the workload":       `{labels: {a: c}}`,
				"a finalizer of others":         `{finalizers: null}`,
				"an owner":                      `{ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x, uid: "1"}]}`,
			} {
				all = append(all, takeover{sentence, patchWrite(t, o, "metadata", metadata)})
			}
			all = append(all, takeover{"it is deleted", deleteWrite(o)})
			if kind != "DaemonSet" {
				all = append(all, takeover{"it is scaled", func(ctx context.Context, c client.Client) error {
					scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 0}}
					return c.SubResource("scale").Update(ctx, o, client.WithSubResourceBody(scale))
				}})
			}
			w.assertRefused(all)

			mark := patchWrite(t, o, "spec", `{template: {metadata: {annotations: {restart.apptoken.dev/indexer: at-1}}}}`)
			if err := mark(t.Context(), w.stolenClient()); err != nil {
				t.Errorf("it cannot be restarted: %v", err)
			}
		})
	}
}

func TestPolicy_RefusesTakeoverOfTokens(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	w.waitReady("indexer")
	at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "indexer"}}
	w.must(admin.Patch(t.Context(), at, mergePatch(t, "metadata", `{labels: {team: search}, annotations: {example.com/a: b}}`)))
	w.must(admin.Patch(t.Context(), at, mergePatch(t, "metadata", `{finalizers: [apptoken.dev/records, example.com/x]}`)))
	t.Cleanup(func() { // otherwise the namespace would wait
		if err := admin.Patch(context.Background(), at, mergePatch(t, "metadata", `{finalizers: [apptoken.dev/records]}`)); err != nil {
			t.Error(err)
		}
	})
	inSystem := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: w.name + "-declared"},
		Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: "absent"}, Delivery: v1alpha1.DeliverySecret},
	}
	w.must(admin.Create(t.Context(), inSystem))
	another, elsewhere := inSystem.DeepCopy(), inSystem.DeepCopy()
	another.ObjectMeta = metav1.ObjectMeta{Namespace: systemNamespace, Name: w.name + "-another"}
	elsewhere.ObjectMeta = metav1.ObjectMeta{Namespace: w.name, Name: "another"}
	elsewhere.Spec.Delivery = v1alpha1.DeliveryResponse
	var all []takeover
	for sentence, spec := range map[string]string{
		"its roles":               `{roles: [primary, writer]}`,
		"its permissions":         `{permissions: [search.query]}`,
		"its client":              `{clientRef: {name: other}}`,
		"the name of its Secret":  `{secret: {name: password}}`,
		"the labels of it":        `{secret: {labels: {argocd.argoproj.io/secret-type: cluster}}}`,
		"its lifetime":            `{lifetime: 1h}`,
		"its rotation":            `{rotation: {trigger: b}}`,
		"what it restarts":        `{restart: [{kind: Deployment, name: x}]}`,
		"that it is suspended":    `{state: Suspended}`,
		"how it is delivered":     `{delivery: Response}`,
		"its end, and its client": `{state: Revoked, clientRef: {name: other}}`,
	} {
		all = append(all, takeover{sentence, patchWrite(t, at, "spec", spec)})
	}
	for sentence, metadata := range map[string]string{
		"a label":                  `{labels: {team: other}}`,
		"a label taken off":        `{labels: {team: null}}`,
		"an annotation of others":  `{annotations: {example.com/a: c}}`,
		"an annotation taken off":  `{annotations: {example.com/a: null}}`,
		"the record that it names": `{annotations: {apptoken.dev/record: at-1}}`,
		"a finalizer of others":    `{finalizers: [apptoken.dev/records]}`,
		"a finalizer more":         `{finalizers: [apptoken.dev/records, example.com/x, example.com/y]}`,
		"an owner":                 `{ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x, uid: "1"}]}`,
	} {
		all = append(all, takeover{sentence, patchWrite(t, at, "metadata", metadata)})
	}
	w.assertRefused(append(all,
		takeover{"it is deleted", deleteWrite(at)},
		takeover{"one is declared", createWrite(elsewhere)},
		takeover{"one is declared in the operator's namespace", createWrite(another)},
		takeover{"one that is declared there becomes the operator's", patchWrite(t, inSystem, "spec", `{delivery: Response}`)},
		takeover{"one that is declared there is deleted", deleteWrite(inSystem)},
	))
}

func TestPolicy_RefusesTakeoverOfUsersAndClients(t *testing.T) {
	w := newSharedTenant(t)
	p := w.newUser("carol")
	user := &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: p.user}}
	p.waitKnown()
	w.must(admin.Patch(t.Context(), user, mergePatch(t, "metadata", `{finalizers: [apptoken.dev/logins, example.com/x], labels: {a: b}}`)))
	t.Cleanup(func() {
		if err := admin.Patch(context.Background(), user, mergePatch(t, "metadata", `{finalizers: [apptoken.dev/logins]}`)); err != nil {
			t.Error(err)
		}
	})
	of := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	w.assertRefused([]takeover{
		{"the accounts of a user", patchWrite(t, user, "spec", `{accounts: [{client: `+w.name+`, roles: [developer]}]}`)},
		{"the password of a user", patchWrite(t, user, "spec", `{passwordSecretRef: {name: other}}`)},
		{"the name of a user", patchWrite(t, user, "spec", `{username: root}`)},
		{"the state of a user", patchWrite(t, user, "spec", `{state: Suspended}`)},
		{"the namespaces of a user", patchWrite(t, user, "spec", `{namespaces: {names: [other]}}`)},
		{"a finalizer of others", patchWrite(t, user, "metadata", `{finalizers: [apptoken.dev/logins]}`)},
		{"a finalizer more", patchWrite(t, user, "metadata", `{finalizers: [apptoken.dev/logins, example.com/x, example.com/y]}`)},
		{"a label of a user", patchWrite(t, user, "metadata", `{labels: {a: c}}`)},
		{"an annotation of a user", patchWrite(t, user, "metadata", `{annotations: {a: c}}`)},
		{"an owner of a user", patchWrite(t, user, "metadata", `{ownerReferences: [{apiVersion: v1, kind: Namespace, name: x, uid: "1"}]}`)},
		{"a user is made", createWrite(&v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.name + "-made"}})},
		{"a user is deleted", deleteWrite(user)},
		{"the roles of a client", patchWrite(t, of, "spec", `{roles: [{name: primary, permissions: ["*"]}]}`)},
		{"the grants of a client", patchWrite(t, of, "spec", `{grants: []}`)},
		{"a label of a client", patchWrite(t, of, "metadata", `{labels: {a: c}}`)},
		{"a client is made", createWrite(&v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.name + "-made"}})},
		{"a client is deleted", deleteWrite(of)},
	})
}
