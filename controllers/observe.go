package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// seen holds the observed state of a token: its Secret, the records under its name, and what
// follows from the two.
type seen struct {
	plan.Observed
	secret   *corev1.Secret // of the name that the spec asks for; nil: none
	former   *corev1.Secret // the token's, of the name that the spec asked for before
	exchange []string       // the tokens that wait for each other's Secrets, in a cycle with this one
	foreign  bool           // a Secret of that name exists that the operator may not read
	records  map[string]record.Record
	held     *corev1.Secret // which of the two holds the token, where Observed.Current is set
	pending  string         // name of the record whose Secret could not be written yet
	kept     token.Token    // the token that an offered Secret held last; the zero value: unknown
	recalled bool           // kept replaces the token of a Secret that was overwritten
	token    token.Token    // the token in the Secret, where Observed.Current is set

	delivered bool // this pass put the current version into the Secret
	adopted   bool // and the Secret existed before
}

// ownerKind is the kind of the owner in the records of ApplicationTokens.
const ownerKind = "ApplicationToken"

// owner returns the owner by which the records of a token are found.
func owner(at *v1alpha1.ApplicationToken) record.Owner {
	return record.Owner{Kind: ownerKind, Namespace: at.Namespace, Name: at.Name, UID: string(at.UID)}
}

// look reads the observed state. Where the cache shows that something is gone or altered, look asks
// the API server as well: the planner would replace a token for it.
func (r *ApplicationTokens) look(ctx context.Context, at *v1alpha1.ApplicationToken, w wish) (seen, error) {
	records, err := r.Records.Of(ctx, owner(at))
	if err != nil {
		return seen{}, err
	}
	s := seen{records: make(map[string]record.Record, len(records))}
	s.kept, _ = r.offered.get(at)
	for _, rec := range records {
		s.records[rec.Name()] = rec
	}
	if w.Answered {
		err := r.confirmRecord(ctx, at, &s, deliveredRecord(at))
		s.derive(at, w)
		return s, err
	}
	if s.secret, err = r.cachedSecret(ctx, at, &s, w.secret.name); err != nil {
		return seen{}, err
	}
	if name := formerName(at, w); name != "" {
		if s.former, err = r.cachedSecret(ctx, at, &s, name); err != nil {
			return seen{}, err
		}
		s.dropForeignFormer(at)
	}
	if err := r.findFormer(ctx, at, w, &s); err != nil {
		return seen{}, err
	}
	if tok, ok := r.undelivered.recall(at, &s); ok {
		s.pending = tok.Digest().RecordName()
	}
	s.derive(at, w)
	if s.Secret == plan.SecretAbsent && len(records) == 0 && at.Status.SecretName == "" && reasonOf(at) != v1alpha1.ReasonSecretTaken {
		return s, nil // a first issue: creating the Secret shows whether the name is taken
	}
	// The cache does not show whether a name that the spec newly asks for is taken.
	renamed := s.secret == nil && s.former != nil
	if renamed || s.recalled || s.Secret != plan.SecretIntact && s.Secret != plan.SecretOutdated {
		if err := r.confirm(ctx, at, w, &s); err != nil {
			return seen{}, err
		}
		s.derive(at, w)
	}
	return s, nil
}

// maxCacheWait bounds how long a read waits until the cache has observed the operator's own writes.
// It never observes a Secret from which an admission webhook removed the label by which Secrets are
// watched.
const maxCacheWait = 5 * time.Second

// getCached reads an object from a cache. It reports whether the cache is behind: it did not
// observe the operator's own writes in time.
func getCached(ctx context.Context, from client.Reader, key types.NamespacedName, obj client.Object) (behind bool, err error) {
	wait, stop := context.WithTimeout(ctx, maxCacheWait)
	defer stop()
	err = from.Get(wait, key, obj)
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil, err
}

// cachedSecret reads a Secret from the cache, or from the API server if the cache keeps only a part
// of it or is behind. It returns nil if there is none.
func (r *ApplicationTokens) cachedSecret(ctx context.Context, at *v1alpha1.ApplicationToken, s *seen, name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: at.Namespace, Name: name}
	behind, err := getCached(ctx, r.Client, key, &secret)
	switch {
	case behind, err == nil && isTrimmed(&secret):
		live, _, err := r.readSecret(ctx, at, s, key)
		return live, err
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get Secret %s: %w", key, err)
	}
	return &secret, nil
}

// formerName returns the name of the Secret in the status if the spec asks for another name, and
// otherwise "".
func formerName(at *v1alpha1.ApplicationToken, w wish) string {
	if at.Status.SecretName == w.secret.name {
		return ""
	}
	return at.Status.SecretName
}

func (s *seen) dropForeignFormer(at *v1alpha1.ApplicationToken) {
	if s.former != nil && !s.holding(at, s.former).isDelivered(s.former, at) {
		s.former = nil
	}
}

// confirm reads the Secret, and the records that it can be about, from the API server. It reads
// only the metadata of a Secret that mayRead excludes.
func (r *ApplicationTokens) confirm(ctx context.Context, at *v1alpha1.ApplicationToken, w wish, s *seen) error {
	secret, foreign, err := r.readSecret(ctx, at, s, types.NamespacedName{Namespace: at.Namespace, Name: w.secret.name})
	if err != nil {
		return err
	}
	s.secret, s.foreign = secret, foreign
	if name := formerName(at, w); name != "" && s.former == nil {
		if s.former, _, err = r.readSecret(ctx, at, s, types.NamespacedName{Namespace: at.Namespace, Name: name}); err != nil {
			return err
		}
	}
	for _, holder := range []*corev1.Secret{s.secret, s.former} {
		if holder == nil {
			continue
		}
		for _, name := range namedRecords(holder) {
			if err := r.confirmRecord(ctx, at, s, name); err != nil {
				return err
			}
		}
	}
	s.dropForeignFormer(at)
	if at.Status.SecretName == "" && s.holding(at, s.secret).holds {
		s.former = nil // it was found by its label alone, and is a copy
	}
	if s.recalled {
		return r.confirmRecord(ctx, at, s, s.kept.Digest().RecordName())
	}
	return nil
}

// confirmRecord reads a record of the token from the API server.
func (r *ApplicationTokens) confirmRecord(ctx context.Context, at *v1alpha1.ApplicationToken, s *seen, name string) error {
	if !record.IsName(name) { // tenants can write annotations
		return nil
	}
	rec, err := r.Records.Confirm(ctx, name)
	switch {
	case errors.Is(err, record.ErrGone):
		delete(s.records, name)
	case err != nil:
		return err
	case rec.Owner.Kind == ownerKind && rec.Owner.Namespace == at.Namespace && rec.Owner.Name == at.Name:
		s.records[name] = rec
	}
	return nil
}

// readSecret reads a Secret from the API server, but not the content of a foreign Secret.
func (r *ApplicationTokens) readSecret(ctx context.Context, at *v1alpha1.ApplicationToken, s *seen, key types.NamespacedName) (secret *corev1.Secret, foreign bool, err error) {
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
func (s *seen) holder() *corev1.Secret {
	if s.secret == nil || s.Secret == plan.SecretForeign {
		return s.former
	}
	return s.secret
}

// derive sets what follows from the Secret and the records. It is called again after each action,
// on the state that the action left.
func (s *seen) derive(at *v1alpha1.ApplicationToken, w wish) {
	s.Observed = plan.Observed{Rollout: s.Rollout, RolloutSeenAt: s.RolloutSeenAt, UsesKnownFrom: s.UsesKnownFrom}
	s.token, s.held, s.recalled = token.Token{}, nil, false
	uid := ""
	if w.Answered {
		uid = s.deriveAnswered(at)
	} else {
		uid = s.deriveSecret(at, w)
	}
	s.others(at, uid)
}

// deriveSecret sets what follows from the Secret. It returns the uid of the owner that the record
// of the Secret names.
func (s *seen) deriveSecret(at *v1alpha1.ApplicationToken, w wish) string {
	h := s.holding(at, s.secret)
	taken := s.foreign || s.secret != nil && !h.belongs(s.secret, at)
	secret := s.secret
	unused := secret != nil && secret.Annotations[v1alpha1.AnnotationRecord] == "" && !h.proves // such as an offered Secret
	if secret == nil || taken || unused && s.former != nil {
		secret = s.former
		h = s.holding(at, secret)
	}
	if secret == s.secret {
		if kept, ok := s.overwritten(at, secret, h); ok {
			h, s.recalled = kept, true
		}
	}
	s.token = h.token
	uid := string(at.UID)
	switch {
	case secret == nil:
		s.Secret = plan.SecretAbsent
	case !h.known && secret.Annotations[v1alpha1.AnnotationRecord] != "":
		s.Secret = plan.SecretUnvouched
	case !h.isCurrent() || w.kind != 0 && s.token.Kind() != w.kind:
		s.Secret = plan.SecretAltered
	default:
		// The Secret proves that this token is the owner of the record. Where the uid differs, both
		// were restored from a backup, and so were the other records of that uid.
		current := version(h.record, at)
		s.Current, s.held = &current, secret
		uid = h.record.Owner.UID
		s.Secret = plan.SecretOutdated
		if w.current(secret, at, h.record, s.token) {
			s.Secret = plan.SecretIntact
		}
	}
	s.Former = s.former != nil
	if taken {
		s.Secret = plan.SecretForeign
	}
	return uid
}

// others adds the records beside the current one that are of an owner of that uid or of this token
// itself.
func (s *seen) others(at *v1alpha1.ApplicationToken, uid string) {
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
		ours := rec.Owner.UID == uid || rec.Owner.UID == string(at.UID) || line[name]
		if (s.Current == nil || name != s.Current.Record) && name != s.pending && ours {
			s.Others = append(s.Others, version(rec, at))
		}
	}
	slices.SortFunc(s.Others, newestFirst)
}

func newestFirst(a, b plan.Version) int {
	if c := b.IssuedAt.Compare(a.IssuedAt); c != 0 {
		return c
	}
	return int(b.Number - a.Number)
}

// version returns a record in the form that the planner uses.
func version(r record.Record, at *v1alpha1.ApplicationToken) plan.Version {
	return plan.Version{
		Record: r.Name(), Number: r.Version, Hint: r.Hint, Trigger: r.Trigger, Request: r.Request, Predecessor: r.Predecessor,
		Grants: plan.Grants{
			Client: r.Client, User: r.User, Roles: r.Roles, Permissions: r.Permissions, SourceRanges: r.SourceRanges, Suspended: r.Suspended,
		},
		UserUID:      r.UserUID,
		Restored:     r.Owner.UID != string(at.UID),
		IssuedAt:     r.IssuedAt,
		AuthorizedAt: r.AuthorizedAt,
		CreatedAt:    r.CreatedAt,
		ExpiresAt:    r.ExpiresAt,
		SupersededAt: r.SupersededAt,
		LastUsedAt:   r.LastUsedAt,
		LastUsedFrom: r.LastUsedFrom,
	}
}
