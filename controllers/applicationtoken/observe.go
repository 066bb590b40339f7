package applicationtoken

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/read"
	"github.com/apptoken/operator/controllers/restart"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// observed holds the observed state of a token: its Secret, the records under its name, and what
// follows from the two.
type observed struct {
	plan.Observed
	secret          *corev1.Secret // of the name that the spec asks for; nil: none
	formerSecret    *corev1.Secret // the token's, of the name that the spec asked for before
	secretNameCycle []string       // the tokens that wait for each other's Secrets, in a cycle with this one
	isForeign       bool           // a Secret of that name exists that the operator may not read
	records         map[string]record.Record
	heldSecret      *corev1.Secret // which of the two holds the token, where Observed.Current is set
	pendingRecord   string         // name of the record whose Secret could not be written yet
	keptToken       token.Token    // the token that an offered Secret held last; the zero value: unknown
	isRecalled      bool           // keptToken replaces the token of a Secret that was overwritten
	token           token.Token    // the token in the Secret, where Observed.Current is set

	isDelivered bool // this pass put the current version into the Secret
	isAdopted   bool // and the Secret existed before
}

// observeObjects reads the observed state. Where the cache shows that something is gone or altered,
// it asks the API server as well: the planner would replace a token for it.
func (r *Reconciler) observeObjects(ctx context.Context, at *v1alpha1.ApplicationToken, spec tokenspec.Desired) (observed, error) {
	records, err := r.Records.ListByOwner(ctx, tokenspec.OwnerOf(at))
	if err != nil {
		return observed{}, err
	}
	s := observed{records: make(map[string]record.Record, len(records))}
	s.keptToken, _ = r.offeredTokens.get(at)
	for _, rec := range records {
		s.records[rec.Name()] = rec
	}
	if spec.DeliveredInResponse {
		err := r.confirmRecord(ctx, at, &s, tokenspec.DeliveredRecord(at))
		s.derive(at, spec)
		return s, err
	}
	if s.secret, err = r.cachedSecret(ctx, at, &s, spec.Secret.Name); err != nil {
		return observed{}, err
	}
	if name := formerSecretName(at, spec); name != "" {
		if s.formerSecret, err = r.cachedSecret(ctx, at, &s, name); err != nil {
			return observed{}, err
		}
		s.dropForeignFormer(at)
	}
	if err := r.findFormerSecret(ctx, at, spec, &s); err != nil {
		return observed{}, err
	}
	if tok, ok := r.pendingTokens.recall(at, &s); ok {
		s.pendingRecord = tok.Digest().RecordName()
	}
	s.derive(at, spec)
	if s.Secret == plan.SecretAbsent && len(records) == 0 && at.Status.SecretName == "" && at.ReadyReason() != v1alpha1.ReasonSecretTaken {
		return s, nil // a first issue: creating the Secret shows whether the name is taken
	}
	// The cache does not show whether a name that the spec newly asks for is taken.
	renamed := s.secret == nil && s.formerSecret != nil
	if renamed || s.isRecalled || s.Secret != plan.SecretIntact && s.Secret != plan.SecretOutdated {
		if err := r.confirmSecret(ctx, at, spec, &s); err != nil {
			return observed{}, err
		}
		s.derive(at, spec)
	}
	return s, nil
}

// cachedSecret reads a Secret from the cache, or from the API server if the cache keeps only a part
// of it or is behind. It returns nil if there is none.
func (r *Reconciler) cachedSecret(ctx context.Context, at *v1alpha1.ApplicationToken, s *observed, name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: at.Namespace, Name: name}
	behind, err := read.Cached(ctx, r.Client, key, &secret)
	switch {
	case behind, err == nil && directory.IsTrimmed(&secret):
		live, _, err := r.readSecret(ctx, at, s, key)
		return live, err
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get Secret %s: %w", key, err)
	}
	return &secret, nil
}

// formerSecretName returns the name of the Secret in the status if the spec asks for another name,
// and otherwise "".
func formerSecretName(at *v1alpha1.ApplicationToken, spec tokenspec.Desired) string {
	if at.Status.SecretName == spec.Secret.Name {
		return ""
	}
	return at.Status.SecretName
}

func (s *observed) dropForeignFormer(at *v1alpha1.ApplicationToken) {
	if s.formerSecret != nil && !s.heldTokenIn(at, s.formerSecret).isDelivered(s.formerSecret, at) {
		s.formerSecret = nil
	}
}

// confirmSecret reads the Secret, and the records that it can be about, from the API server. It
// reads only the metadata of a Secret that mayRead excludes.
func (r *Reconciler) confirmSecret(ctx context.Context, at *v1alpha1.ApplicationToken, spec tokenspec.Desired, s *observed) error {
	secret, foreign, err := r.readSecret(ctx, at, s, types.NamespacedName{Namespace: at.Namespace, Name: spec.Secret.Name})
	if err != nil {
		return err
	}
	s.secret, s.isForeign = secret, foreign
	if name := formerSecretName(at, spec); name != "" && s.formerSecret == nil {
		if s.formerSecret, _, err = r.readSecret(ctx, at, s, types.NamespacedName{Namespace: at.Namespace, Name: name}); err != nil {
			return err
		}
	}
	for _, holder := range []*corev1.Secret{s.secret, s.formerSecret} {
		if holder == nil {
			continue
		}
		for _, name := range tokenspec.NamedRecords(holder) {
			if err := r.confirmRecord(ctx, at, s, name); err != nil {
				return err
			}
		}
	}
	s.dropForeignFormer(at)
	if at.Status.SecretName == "" && s.heldTokenIn(at, s.secret).isInSecret {
		s.formerSecret = nil // it was found by its label alone, and is a copy
	}
	if s.isRecalled {
		return r.confirmRecord(ctx, at, s, s.keptToken.Digest().RecordName())
	}
	return nil
}

// confirmRecord reads a record of the token from the API server.
func (r *Reconciler) confirmRecord(ctx context.Context, at *v1alpha1.ApplicationToken, s *observed, name string) error {
	if !record.IsName(name) { // tenants can write annotations
		return nil
	}
	rec, err := r.Records.Confirm(ctx, name)
	switch {
	case errors.Is(err, record.ErrGone):
		delete(s.records, name)
	case err != nil:
		return err
	case rec.Owner.Kind == tokenspec.OwnerKind && rec.Owner.Namespace == at.Namespace && rec.Owner.Name == at.Name:
		s.records[name] = rec
	}
	return nil
}

// readSecret reads a Secret from the API server, but not the content of a foreign Secret.
func (r *Reconciler) readSecret(ctx context.Context, at *v1alpha1.ApplicationToken, s *observed, key types.NamespacedName) (secret *corev1.Secret, foreign bool, err error) {
	var meta metav1.PartialObjectMetadata
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := r.Live.Get(ctx, key, &meta); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("confirm Secret %s: %w", key, err)
	}
	if !s.mayRead(at, &meta) {
		return nil, true, nil
	}
	secret = new(corev1.Secret)
	if err := r.Live.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("confirm Secret %s: %w", key, err)
	}
	return secret, false, nil
}

// holder returns the Secret that holds the token: the one that the spec asks for, or the former one
// until the token has the one that it asks for.
func (s *observed) holder() *corev1.Secret {
	if s.secret == nil || s.Secret == plan.SecretForeign {
		return s.formerSecret
	}
	return s.secret
}

// derive sets what follows from the Secret and the records. It is called again after each action,
// on the state that the action left.
func (s *observed) derive(at *v1alpha1.ApplicationToken, spec tokenspec.Desired) {
	s.Observed = plan.Observed{IncompleteRollout: s.IncompleteRollout, RolloutSeenAt: s.RolloutSeenAt, UsesKnownFrom: s.UsesKnownFrom}
	s.token, s.heldSecret, s.isRecalled = token.Token{}, nil, false
	uid := ""
	if spec.DeliveredInResponse {
		uid = s.deriveFromAnnotation(at)
	} else {
		uid = s.deriveSecret(at, spec)
	}
	s.setOthers(at, uid)
}

// deriveSecret sets what follows from the Secret. It returns the uid of the owner that the record
// of the Secret names.
func (s *observed) deriveSecret(at *v1alpha1.ApplicationToken, spec tokenspec.Desired) string {
	h := s.heldTokenIn(at, s.secret)
	taken := s.isForeign || s.secret != nil && !h.belongsToToken(s.secret, at)
	secret := s.secret
	unused := secret != nil && secret.Annotations[v1alpha1.AnnotationRecord] == "" && !h.provesDelivery // such as an offered Secret
	if secret == nil || taken || unused && s.formerSecret != nil {
		secret = s.formerSecret
		h = s.heldTokenIn(at, secret)
	}
	if secret == s.secret {
		if kept, ok := s.overwrittenToken(at, secret, h); ok {
			h, s.isRecalled = kept, true
		}
	}
	s.token = h.token
	uid := string(at.UID)
	switch {
	case secret == nil:
		s.Secret = plan.SecretAbsent
	case !h.isKnown && secret.Annotations[v1alpha1.AnnotationRecord] != "":
		s.Secret = plan.SecretRecordMissing
	case !h.isCurrent() || spec.Kind != 0 && s.token.Kind() != spec.Kind:
		s.Secret = plan.SecretAltered
	default:
		// The Secret proves that this token is the owner of the record. Where the uid differs, both
		// were restored from a backup, and so were the other records of that uid.
		current := tokenspec.PlanVersion(h.record, at)
		s.Current, s.heldSecret = &current, secret
		uid = h.record.Owner.UID
		s.Secret = plan.SecretOutdated
		if spec.IsCurrent(secret, at, h.record, s.token) {
			s.Secret = plan.SecretIntact
		}
	}
	s.HasFormerSecret = s.formerSecret != nil
	if taken {
		s.Secret = plan.SecretForeign
	}
	return uid
}

// setOthers adds the records beside the current one that are of an owner of that uid or of this
// token itself.
func (s *observed) setOthers(at *v1alpha1.ApplicationToken, uid string) {
	// The predecessors of the current record are the token's too: after a restore, they may be
	// observed one pass apart.
	line, before := map[string]bool{}, ""
	if s.Current != nil {
		before = s.Current.Predecessor
	}
	for name := before; name != "" && !line[name]; name = s.records[name].Predecessor {
		line[name] = true
	}
	for name, rec := range s.records {
		isOwn := rec.Owner.UID == uid || rec.Owner.UID == string(at.UID) || line[name]
		if (s.Current == nil || name != s.Current.Record) && name != s.pendingRecord && isOwn {
			s.Others = append(s.Others, tokenspec.PlanVersion(rec, at))
		}
	}
	slices.SortFunc(s.Others, tokenspec.CompareNewestFirst)
}

// deriveFromAnnotation sets the observed state of a token that is delivered in responses. It
// returns the uid of the owner that the current record names.
func (s *observed) deriveFromAnnotation(at *v1alpha1.ApplicationToken) string {
	s.Secret = plan.SecretAbsent
	named, there := s.records[tokenspec.DeliveredRecord(at)]
	if !there || !named.SupersededAt.IsZero() {
		return string(at.UID)
	}
	current := tokenspec.PlanVersion(named, at)
	s.Current, s.Secret = &current, plan.SecretIntact
	return named.Owner.UID
}

// delivery returns what decides about restarts.
func (s *observed) delivery() restart.Delivery {
	return restart.Delivery{Current: s.Current, IsOnly: len(s.Others) == 0, Secret: s.holder(), IsDelivered: s.isDelivered, IsAdopted: s.isAdopted}
}
