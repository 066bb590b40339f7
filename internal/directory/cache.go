package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Tenants write Secrets and ApplicationTokens of up to a megabyte each, and need no grant for it.
// Caches therefore keep only small objects whole, and of a larger one what finds it again.
// Reconcilers read a trimmed object from the API server before they use the rest of it or write it.
const (
	// annotationTrimmed marks, in caches only, an object of which the cache keeps a part.
	annotationTrimmed = "apptoken.dev/trimmed"
	// maxCachedBytes bounds what caches keep of one object of a tenant, in bytes.
	maxCachedBytes = 16 << 10
	// entryCost is the memory that a key or an element costs beside its bytes, in bytes.
	entryCost = 64
	// maxNameLength is the maximum length of the name of an object, and of a label or annotation
	// value that caches keep of a trimmed object.
	maxNameLength = 253
	// maxSecretKeys is the maximum number of data keys that the operator writes.
	maxSecretKeys = 32
)

// IsTrimmed reports whether a cache keeps only a part of the object.
func IsTrimmed(obj client.Object) bool {
	_, trimmed := obj.GetAnnotations()[annotationTrimmed]
	return trimmed
}

// TrimForCache reduces an object to what the reconcilers need in memory. It changes the object in
// place, so that no reference keeps the rest of it alive.
func TrimForCache(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Secret:
		trimSecret(o)
	case *v1alpha1.ApplicationToken:
		trimToken(o)
	case *metav1.PartialObjectMetadata: // of a Namespace: grants select namespaces by label
		o.ObjectMeta = metav1.ObjectMeta{Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, Labels: o.Labels}
	case client.Object:
		o.SetManagedFields(nil)
		if set := o.GetAnnotations(); set[corev1.LastAppliedConfigAnnotation] != "" {
			set = maps.Clone(set)
			delete(set, corev1.LastAppliedConfigAnnotation)
			o.SetAnnotations(set)
		}
	}
	return obj, nil
}

// trimSecret keeps a Secret whole if it is a token's and no larger than maxCachedBytes. A tenant
// can give any Secret the marks of a token's, so the bound applies to those too.
func trimSecret(s *corev1.Secret) {
	s.ManagedFields = nil
	owner := tokenOwner(s)
	if owner != nil && s.Type == corev1.SecretTypeOpaque && len(s.Data) <= maxSecretKeys && secretBytes(s) <= maxCachedBytes && !IsTrimmed(s) {
		return
	}
	kept := metav1.ObjectMeta{
		Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion, DeletionTimestamp: s.DeletionTimestamp,
		Labels:      map[string]string{},
		Annotations: map[string]string{annotationTrimmed: ""},
	}
	for _, key := range []string{v1alpha1.LabelManaged, v1alpha1.LabelToken} {
		copyShortValue(kept.Labels, s.Labels, key)
	}
	for _, key := range []string{v1alpha1.AnnotationRecord, v1alpha1.AnnotationAdopt} {
		copyShortValue(kept.Annotations, s.Annotations, key)
	}
	if owner != nil {
		kept.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	*s = corev1.Secret{TypeMeta: s.TypeMeta, ObjectMeta: kept}
}

// tokenOwner returns the owner reference that names an ApplicationToken as the controller of a
// Secret, or nil if there is none. The reference is only a claim.
func tokenOwner(s *corev1.Secret) *metav1.OwnerReference {
	o := metav1.GetControllerOf(s)
	if o == nil || o.APIVersion != v1alpha1.GroupVersion.String() || o.Kind != tokenspec.OwnerKind || len(o.Name) > maxNameLength || len(o.UID) > maxNameLength {
		return nil
	}
	return o
}

func copyShortValue(to, from map[string]string, key string) {
	if value, there := from[key]; there && len(value) <= maxNameLength {
		to[key] = value
	}
}

func secretBytes(s *corev1.Secret) int {
	return s.Size() + entryCost*(len(s.Data)+len(s.Labels)+len(s.Annotations)+len(s.OwnerReferences)+len(s.Finalizers))
}

// trimToken removes labels and foreign annotations, which no reconciler reads. If an
// ApplicationToken is still larger than maxCachedBytes, trimToken keeps what is read of many tokens
// at once: the client and user, the requested grants, the state and the status.
func trimToken(at *v1alpha1.ApplicationToken) {
	at.ManagedFields, at.Labels = nil, nil
	maps.DeleteFunc(at.Annotations, func(key, _ string) bool {
		return !tokenspec.IsWithin(tokenspec.DomainOf(key), tokenspec.OperatorDomain)
	})
	if tokenBytes(at) <= maxCachedBytes && !IsTrimmed(at) {
		return
	}
	kept := map[string]string{annotationTrimmed: ""}
	for _, key := range []string{v1alpha1.AnnotationRecord, v1alpha1.AnnotationName, v1alpha1.AnnotationAttempt, v1alpha1.AnnotationRotateSelf} {
		copyShortValue(kept, at.Annotations, key)
	}
	if value, there := at.Annotations[v1alpha1.AnnotationRotate]; there { // predicates compare its value
		if sum := sha256.Sum256([]byte(value)); len(value) > hex.EncodedLen(len(sum)) {
			value = hex.EncodeToString(sum[:])
		}
		kept[v1alpha1.AnnotationRotate] = value
	}
	at.Annotations = kept
	at.Finalizers = slices.DeleteFunc(slices.Clone(at.Finalizers), func(f string) bool { return f != v1alpha1.FinalizerRecords })
	owners := at.OwnerReferences
	at.OwnerReferences = nil
	for _, o := range owners {
		if o.APIVersion == v1alpha1.GroupVersion.String() && o.Kind == login.OwnerKindUser && len(o.Name) <= maxNameLength && len(o.UID) <= maxNameLength {
			at.OwnerReferences = []metav1.OwnerReference{o}
			break
		}
	}
	at.Spec.Secret = v1alpha1.SecretTemplate{Name: at.Spec.Secret.Name}
	at.Spec.Restart = nil
}

func tokenBytes(at *v1alpha1.ApplicationToken) int {
	text, err := json.Marshal(at)
	if err != nil {
		return maxCachedBytes + 1
	}
	return len(text)
}

// unreadablePassword replaces data that is too long for a password. Every Secret shares it.
var unreadablePassword = bytes.Repeat([]byte{0}, maxStoredPassword+1)

// maxStoredPassword is longer than any valid password hash or password.
const maxStoredPassword = max(4<<10, 2*password.MaxLength)

// TrimPassword reduces a Secret of the operator's own namespace, in place, to the data that a
// password is read from.
func TrimPassword(obj any) (any, error) {
	s, ok := obj.(*corev1.Secret)
	if !ok {
		return obj, nil
	}
	var data map[string][]byte
	for _, key := range []string{KeyPasswordHash, KeyPassword} {
		v, there := s.Data[key]
		if !there {
			continue
		}
		if len(v) > maxStoredPassword {
			v = unreadablePassword
		}
		if data == nil {
			data = map[string][]byte{}
		}
		data[key] = v
	}
	*s = corev1.Secret{
		TypeMeta:   s.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion},
		Data:       data,
	}
	return s, nil
}

// CachedBytes estimates the memory that a cache uses for an object, in bytes.
func CachedBytes(obj any) int {
	switch o := obj.(type) {
	case *corev1.Secret:
		return secretBytes(o)
	case *v1alpha1.ApplicationToken:
		return tokenBytes(o)
	case *v1alpha1.TokenRecord: // there are many of them
		s := &o.Spec
		total := o.ObjectMeta.Size() + len(s.Digest) + len(s.Hint) + len(s.Client) + len(s.User) + len(s.Owner.Namespace) + len(s.Owner.Name) + len(s.Owner.UID) +
			len(s.Session) + len(s.Trigger) + len(s.Predecessor) + len(s.Credential)
		return total + listBytes(s.Roles) + listBytes(s.Permissions) + listBytes(s.SourceRanges)
	default:
		text, err := json.Marshal(obj)
		if err != nil {
			return 0
		}
		return len(text)
	}
}

func listBytes[T ~string](list []T) int {
	total := entryCost * len(list)
	for _, v := range list {
		total += len(v)
	}
	return total
}
