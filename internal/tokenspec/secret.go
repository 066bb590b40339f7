package tokenspec

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
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
)

// AnnotationPassedOn is an annotation that lists the labels, annotations and data keys that came
// from the spec, so that they can go with it.
const AnnotationPassedOn = "apptoken.dev/passed-on"

// secretTemplateOf returns the Secret that a spec asks for. c is nil if the client is unknown.
func secretTemplateOf(at *v1alpha1.ApplicationToken, c *v1alpha1.Client, refuse refuseFunc) secretTemplate {
	t := at.Spec.Secret
	w := secretTemplate{Name: at.Name, labels: stringMap(t.Labels), annotations: stringMap(t.Annotations)}
	if t.Name != "" {
		w.Name = string(t.Name)
	}
	texts := SecretTexts(at)
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

// SecretTexts returns the templates that a spec asks for, by the keys of the Secret.
func SecretTexts(at *v1alpha1.ApplicationToken) map[string]string {
	if len(at.Spec.Secret.Data) == 0 {
		return map[string]string{"token": "{{ .Token }}"}
	}
	return stringMap(at.Spec.Secret.Data)
}

// WriteSecret sets the content of a Secret to a version, in memory.
func (w Spec) WriteSecret(secret *corev1.Secret, at *v1alpha1.ApplicationToken, r record.Record, tok token.Token) error {
	data, err := w.Secret.templates.Render(templateValues(at, r), tok)
	if err != nil {
		return &apierr.Refuse{Reason: v1alpha1.ReasonInvalidSpec, Message: "spec.secret.data: " + err.Error()}
	}
	secret.Namespace, secret.Name = at.Namespace, w.Secret.Name
	secret.Type = corev1.SecretTypeOpaque
	secret.Data = withOwnersKeys(secret, at, data)
	w.setMetadata(secret, at, r.Name(), data)
	return nil
}

// withOwnersKeys returns the data of a Secret once the rendered keys are written. While its owner
// offers the Secret, such as by a manifest in Git, the owner's other keys stay. Otherwise the two
// would undo each other's writes forever.
func withOwnersKeys(secret *corev1.Secret, at *v1alpha1.ApplicationToken, rendered map[string][]byte) map[string][]byte {
	if !HasAdoptAnnotation(secret, at) {
		return rendered
	}
	data := map[string][]byte{}
	maps.Copy(data, secret.Data)
	for _, p := range strings.Fields(secret.Annotations[AnnotationPassedOn]) {
		if field, key, _ := strings.Cut(p, ":"); field == "data" {
			delete(data, key)
		}
	}
	maps.Copy(data, rendered)
	return data
}

// setMetadata sets the labels, annotations and owner of a Secret. It keeps what other writers have
// put there.
func (w Spec) setMetadata(secret *corev1.Secret, at *v1alpha1.ApplicationToken, recordName string, rendered map[string][]byte) {
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	for _, old := range strings.Fields(secret.Annotations[AnnotationPassedOn]) {
		RemovePassedOn(secret, old)
	}
	maps.Copy(secret.Labels, w.Secret.labels)
	maps.Copy(secret.Annotations, w.Secret.annotations)
	var passed []string
	for key := range w.Secret.labels {
		passed = append(passed, passedOnEntry("labels", key))
	}
	for key := range w.Secret.annotations {
		passed = append(passed, passedOnEntry("annotations", key))
	}
	if HasAdoptAnnotation(secret, at) { // the data does not show which keys are the operator's
		for key := range rendered {
			passed = append(passed, passedOnEntry("data", key))
		}
	}
	slices.Sort(passed)
	SetPassedOn(secret, passed)
	SetMarks(secret, at, recordName)
}

// SetMarks sets the marks of a token's Secret: the labels and the controller reference, without
// which config/policy denies the operator every write, and the name of the record of the token.
func SetMarks(secret *corev1.Secret, at *v1alpha1.ApplicationToken, recordName string) {
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

// HasMarks reports whether a Secret has the marks that SetMarks sets.
func HasMarks(secret *corev1.Secret, at *v1alpha1.ApplicationToken, recordName string) bool {
	return secret.Labels[v1alpha1.LabelManaged] == "true" && secret.Labels[v1alpha1.LabelToken] == at.Name &&
		secret.Annotations[v1alpha1.AnnotationRecord] == recordName && metav1.IsControlledBy(secret, at)
}

// IsCurrent reports whether a Secret that holds the token is exactly as the spec asks.
func (w Spec) IsCurrent(secret *corev1.Secret, at *v1alpha1.ApplicationToken, r record.Record, tok token.Token) bool {
	want := secret.DeepCopy()
	if err := w.WriteSecret(want, at, r, tok); err != nil {
		return false // the write reports what is wrong with the templates
	}
	return want.Name == secret.Name && maps.EqualFunc(want.Data, secret.Data, bytes.Equal) && maps.Equal(want.Labels, secret.Labels) &&
		maps.Equal(want.Annotations, secret.Annotations) && metav1.IsControlledBy(secret, at)
}

// templateValues returns what a template sees of a version.
func templateValues(at *v1alpha1.ApplicationToken, r record.Record) render.Values {
	v := render.Values{
		Hint: r.Hint, Client: r.Client, Name: at.Name, Namespace: at.Namespace,
		Roles: r.Roles, Permissions: r.Permissions, Version: r.Version, IssuedAt: r.IssuedAt.UTC().Format(time.RFC3339),
	}
	if !r.ExpiresAt.IsZero() {
		v.ExpiresAt = r.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return v
}

func stringMap[T ~string](m map[string]T) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

// HoldsRecord reports whether the token of a record is in a Secret, or was there when the Secret
// was last written.
func HoldsRecord(secret *corev1.Secret, r record.Record) bool {
	if secret.Annotations[v1alpha1.AnnotationRecord] == r.Name() {
		return true
	}
	_, holds := render.Find(secret.Data, r.Digest)
	return holds
}

// maxNamedRecords bounds how many records are read for one Secret: tenants write its content.
const maxNamedRecords = 8

// NamedRecords returns the names of the records that a Secret can be about, each once: the one in
// its annotation, and those of the tokens in its data.
func NamedRecords(secret *corev1.Secret) []string {
	var names []string
	if name := secret.Annotations[v1alpha1.AnnotationRecord]; name != "" {
		names = append(names, name)
	}
	for tok := range render.Tokens(secret.Data) {
		if len(names) == maxNamedRecords {
			break
		}
		if name := tok.Digest().RecordName(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// IsControlledByOther reports whether the controller of a Secret is anything but an
// ApplicationToken of this name. Such a Secret does not belong to the token merely because it holds
// it. config/policy denies the operator writes to it, and two controllers would undo each other's
// writes.
func IsControlledByOther(secret metav1.Object, at *v1alpha1.ApplicationToken) bool {
	o := metav1.GetControllerOf(secret)
	return o != nil && (!IsToken(o) || o.Name != at.Name)
}

// IsToken reports whether an owner reference names an ApplicationToken, in any version of the API.
func IsToken(o *metav1.OwnerReference) bool {
	return o.Kind == OwnerKind && strings.HasPrefix(o.APIVersion, v1alpha1.GroupVersion.Group+"/")
}

// IsOffered reports whether the owner of a Secret offers it to the token for adoption.
func IsOffered(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return secret.Labels[v1alpha1.LabelManaged] == "true" && HasAdoptAnnotation(secret, at)
}

// HasAdoptAnnotation reports whether a Secret has the annotation by which its owner offers it to
// the token.
func HasAdoptAnnotation(secret *corev1.Secret, at *v1alpha1.ApplicationToken) bool {
	return secret.Annotations[v1alpha1.AnnotationAdopt] == at.Name
}
