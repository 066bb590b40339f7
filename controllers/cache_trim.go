package controllers

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
)

// Tenants write Secrets and ApplicationTokens of up to a megabyte each, and need no grant for it. Caches therefore keep an object
// whole only while it is small, and else what finds it again. Reconcilers read a trimmed object from the API server before they
// use the rest of it or write it.
const (
	// annotationTrimmed, in caches alone, marks an object of which they keep a part.
	annotationTrimmed = "apptoken.dev/trimmed"
	// maxCached bounds what caches keep of one object of a tenant, in bytes.
	maxCached = 16 << 10
	// entryCost is what a key or an element costs in memory beside its bytes.
	entryCost = 64
	// maxName is the longest name of an object, and the longest value that caches keep of an annotation of a trimmed object.
	maxName = 253
	// maxSecretKeys is how many keys of data the operator writes at most.
	maxSecretKeys = 32
)

// isTrimmed reports whether a cache keeps only a part of the object.
func isTrimmed(obj client.Object) bool {
	_, trimmed := obj.GetAnnotations()[annotationTrimmed]
	return trimmed
}

// TrimForCache reduces an object to what the reconcilers need of it in memory. It changes the object in place, so that nothing
// keeps the rest of it alive.
func TrimForCache(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Secret:
		trimSecret(o)
	case *v1alpha1.ApplicationToken:
		trimToken(o)
	case *metav1.PartialObjectMetadata: // of a Namespace, which grants select by its labels
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

// trimSecret keeps a Secret whole if it is a token's and no larger than maxCached. A tenant can give any Secret the marks of a
// token's, so that the bound holds for those too.
func trimSecret(s *corev1.Secret) {
	s.ManagedFields = nil
	owner := tokenOwner(s)
	if owner != nil && s.Type == corev1.SecretTypeOpaque && len(s.Data) <= maxSecretKeys && secretBytes(s) <= maxCached && !isTrimmed(s) {
		return
	}
	kept := metav1.ObjectMeta{
		Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion, DeletionTimestamp: s.DeletionTimestamp,
		Labels:      map[string]string{},
		Annotations: map[string]string{annotationTrimmed: ""},
	}
	for _, key := range []string{v1alpha1.LabelManaged, v1alpha1.LabelToken} {
		keepShort(kept.Labels, s.Labels, key)
	}
	for _, key := range []string{v1alpha1.AnnotationRecord, v1alpha1.AnnotationAdopt} {
		keepShort(kept.Annotations, s.Annotations, key)
	}
	if owner != nil {
		kept.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	*s = corev1.Secret{TypeMeta: s.TypeMeta, ObjectMeta: kept}
}

// tokenOwner returns the ApplicationToken that controls a Secret by its own word; nil: there is none.
func tokenOwner(s *corev1.Secret) *metav1.OwnerReference {
	o := metav1.GetControllerOf(s)
	if o == nil || o.APIVersion != v1alpha1.GroupVersion.String() || o.Kind != ownerKind || len(o.Name) > maxName || len(o.UID) > maxName {
		return nil
	}
	return o
}

func keepShort(to, from map[string]string, key string) {
	if value, there := from[key]; there && len(value) <= maxName {
		to[key] = value
	}
}

func secretBytes(s *corev1.Secret) int {
	return s.Size() + entryCost*(len(s.Data)+len(s.Labels)+len(s.Annotations)+len(s.OwnerReferences)+len(s.Finalizers))
}

// trimToken drops labels and annotations of others, which nothing here reads. Of an ApplicationToken that is still larger than
// maxCached it keeps what is read of many at once: whom it speaks for, what it asks for, its state and its status.
func trimToken(at *v1alpha1.ApplicationToken) {
	at.ManagedFields, at.Labels = nil, nil
	maps.DeleteFunc(at.Annotations, func(key, _ string) bool { return !isWithin(domainOf(key), operatorDomain) })
	if tokenBytes(at) <= maxCached && !isTrimmed(at) {
		return
	}
	kept := map[string]string{annotationTrimmed: ""}
	for _, key := range []string{v1alpha1.AnnotationRecord, v1alpha1.AnnotationName, v1alpha1.AnnotationAttempt, v1alpha1.AnnotationRotateSelf} {
		keepShort(kept, at.Annotations, key)
	}
	if value, there := at.Annotations[v1alpha1.AnnotationRotate]; there { // whose changes are events
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
		if o.APIVersion == v1alpha1.GroupVersion.String() && o.Kind == login.OwnerKind && len(o.Name) <= maxName && len(o.UID) <= maxName {
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
		return maxCached + 1
	}
	return len(text)
}

// unreadable stands in for what is too long for a password. Every Secret shares it.
var unreadable = bytes.Repeat([]byte{0}, maxStored+1)

// maxStored is longer than any hash or password that can be read.
const maxStored = max(4<<10, 2*password.MaxLength)

// TrimPassword reduces a Secret of the operator's own namespace to what a password is read from, in place.
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
		if len(v) > maxStored {
			v = unreadable
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

// CachedBytes estimates what a cache keeps of an object, in bytes.
func CachedBytes(obj any) int {
	switch o := obj.(type) {
	case *corev1.Secret:
		return secretBytes(o)
	case *v1alpha1.ApplicationToken:
		return tokenBytes(o)
	case *v1alpha1.TokenRecord: // of which there are many
		s := &o.Spec
		total := o.ObjectMeta.Size() + len(s.Digest) + len(s.Hint) + len(s.Client) + len(s.User) + len(s.Owner.Namespace) + len(s.Owner.Name) + len(s.Owner.UID) +
			len(s.Session) + len(s.Trigger) + len(s.Predecessor) + len(s.Credential)
		return total + lengths(s.Roles) + lengths(s.Permissions) + lengths(s.SourceRanges)
	default:
		text, err := json.Marshal(obj)
		if err != nil {
			return 0
		}
		return len(text)
	}
}

func lengths[T ~string](list []T) int {
	total := entryCost * len(list)
	for _, v := range list {
		total += len(v)
	}
	return total
}
