package controllers

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
)

// passedOn is an annotation that lists the labels, annotations and data keys that came from the
// spec, so that they can go with it.
const passedOn = "apptoken.dev/passed-on"

// secretOf returns the Secret that a spec asks for. c is nil if the client is unknown.
func secretOf(at *v1alpha1.ApplicationToken, c *v1alpha1.Client, refuse refuser) secretWish {
	t := at.Spec.Secret
	w := secretWish{name: at.Name, labels: plain(t.Labels), annotations: plain(t.Annotations)}
	if t.Name != "" {
		w.name = string(t.Name)
	}
	texts := secretTexts(at)
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if len(validation.IsConfigMapKey(key)) > 0 {
			refuse(v1alpha1.ReasonInvalidSpec, "spec.secret.data: key %q is not valid in a Secret: use at most 253 letters, digits, -, _ and .", key)
		}
	}
	var err error
	if w.templates, err = render.Compile(texts); err != nil {
		refuse(v1alpha1.ReasonInvalidSpec, "spec.secret.data: %s", err)
	}
	w.checkMetadata(c, refuse)
	return w
}

// secretTexts returns the templates that a spec asks for, by the keys of the Secret.
func secretTexts(at *v1alpha1.ApplicationToken) map[string]string {
	if len(at.Spec.Secret.Data) == 0 {
		return map[string]string{"token": "{{ .Token }}"}
	}
	return plain(at.Spec.Secret.Data)
}

// write sets the content of a Secret to a version, in memory.
func (w wish) write(secret *corev1.Secret, at *v1alpha1.ApplicationToken, r record.Record, tok token.Token) error {
	data, err := w.secret.templates.Render(values(at, r), tok)
	if err != nil {
		return &Refuse{Reason: v1alpha1.ReasonInvalidSpec, Message: "spec.secret.data: " + err.Error()}
	}
	secret.Namespace, secret.Name = at.Namespace, w.secret.name
	secret.Type = corev1.SecretTypeOpaque
	secret.Data = withOwnersKeys(secret, at, data)
	w.decorate(secret, at, r.Name(), data)
	return nil
}

// withOwnersKeys returns the data of a Secret once the rendered keys are written. While its owner
// offers the Secret, such as by a manifest in Git, the owner's other keys stay. Otherwise the two
// would undo each other's writes forever.
func withOwnersKeys(secret *corev1.Secret, at *v1alpha1.ApplicationToken, rendered map[string][]byte) map[string][]byte {
	if !adopts(secret, at) {
		return rendered
	}
	data := map[string][]byte{}
	maps.Copy(data, secret.Data)
	for _, p := range strings.Fields(secret.Annotations[passedOn]) {
		if field, key, _ := strings.Cut(p, ":"); field == "data" {
			delete(data, key)
		}
	}
	maps.Copy(data, rendered)
	return data
}

// decorate sets the labels, annotations and owner of a Secret. It keeps what other writers have put
// there.
func (w wish) decorate(secret *corev1.Secret, at *v1alpha1.ApplicationToken, recordName string, rendered map[string][]byte) {
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	for _, old := range strings.Fields(secret.Annotations[passedOn]) {
		unpass(secret, old)
	}
	maps.Copy(secret.Labels, w.secret.labels)
	maps.Copy(secret.Annotations, w.secret.annotations)
	var passed []string
	for key := range w.secret.labels {
		passed = append(passed, passedKey("labels", key))
	}
	for key := range w.secret.annotations {
		passed = append(passed, passedKey("annotations", key))
	}
	if adopts(secret, at) { // the data does not show which keys are the operator's
		for key := range rendered {
			passed = append(passed, passedKey("data", key))
		}
	}
	slices.Sort(passed)
	setPassed(secret, passed)
	claimSecret(secret, at, recordName)
}

// claimSecret sets the marks of a token's Secret: the labels and the controller reference, without
// which config/policy denies the operator every write, and the name of the record of the token.
func claimSecret(secret *corev1.Secret, at *v1alpha1.ApplicationToken, recordName string) {
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[v1alpha1.AnnotationRecord] = recordName
	secret.Labels[v1alpha1.LabelManaged] = "true"
	secret.Labels[v1alpha1.LabelToken] = at.Name
	secret.OwnerReferences = slices.DeleteFunc(secret.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Controller != nil && *o.Controller // of an earlier token, or of the owner that offered it
	})
	secret.OwnerReferences = append(secret.OwnerReferences, *metav1.NewControllerRef(at, v1alpha1.GroupVersion.WithKind("ApplicationToken")))
}

// hasMarks reports whether a Secret has the marks that claimSecret sets.
func hasMarks(secret *corev1.Secret, at *v1alpha1.ApplicationToken, recordName string) bool {
	return secret.Labels[v1alpha1.LabelManaged] == "true" && secret.Labels[v1alpha1.LabelToken] == at.Name &&
		secret.Annotations[v1alpha1.AnnotationRecord] == recordName && metav1.IsControlledBy(secret, at)
}

// current reports whether a Secret that holds the token is exactly as the spec asks.
func (w wish) current(secret *corev1.Secret, at *v1alpha1.ApplicationToken, r record.Record, tok token.Token) bool {
	want := secret.DeepCopy()
	if err := w.write(want, at, r, tok); err != nil {
		return false // the write reports what is wrong with the templates
	}
	return want.Name == secret.Name && maps.EqualFunc(want.Data, secret.Data, bytes.Equal) && maps.Equal(want.Labels, secret.Labels) &&
		maps.Equal(want.Annotations, secret.Annotations) && metav1.IsControlledBy(secret, at)
}

// values returns what a template sees of a version.
func values(at *v1alpha1.ApplicationToken, r record.Record) render.Values {
	v := render.Values{
		Hint: r.Hint, Client: r.Client, Name: at.Name, Namespace: at.Namespace,
		Roles: r.Roles, Permissions: r.Permissions, Version: r.Version, IssuedAt: r.IssuedAt.UTC().Format(time.RFC3339),
	}
	if !r.ExpiresAt.IsZero() {
		v.ExpiresAt = r.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return v
}

func plain[T ~string](m map[string]T) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}
