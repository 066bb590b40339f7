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
	secret          *corev1.Secret // of the name in the spec; nil: none
	formerSecret    *corev1.Secret // of the name that the spec had before
	secretNameCycle []string       // tokens that wait for each other's Secrets, this one included
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
func (p *pass) observeObjects(ctx context.Context) error {
	err := p.readObjects(ctx)
	if err != nil {
		p.observed = observed{} // nothing is known
	}
	return err
}

func (p *pass) readObjects(ctx context.Context) error {
	records, err := p.Records.ListByOwner(ctx, tokenspec.OwnerOf(p.at))
	if err != nil {
		return err
	}
	p.observed = observed{records: make(map[string]record.Record, len(records))}
	p.keptToken, _ = p.offeredTokens.get(p.at)
	for _, rec := range records {
		p.records[rec.Name()] = rec
	}
	if p.spec.DeliveredInResponse {
		if err := p.confirmRecord(ctx, tokenspec.DeliveredRecord(p.at)); err != nil {
			return err
		}
		p.derive()
		return nil
	}
	if p.secret, err = p.cachedSecret(ctx, p.spec.Secret.Name); err != nil {
		return err
	}
	if name := p.formerSecretName(); name != "" {
		if p.formerSecret, err = p.cachedSecret(ctx, name); err != nil {
			return err
		}
		p.dropForeignFormer()
	}
	if err := p.findFormerSecret(ctx); err != nil {
		return err
	}
	if rec, _, ok := p.pendingVersion(); ok {
		p.pendingRecord = rec.Name()
	}
	p.derive()
	if p.Secret == plan.SecretAbsent && len(records) == 0 && p.at.Status.SecretName == "" && p.at.ReadyReason() != v1alpha1.ReasonSecretTaken {
		return nil // a first issue: creating the Secret shows whether the name is taken
	}
	// The cache does not show whether a name that the spec newly asks for is taken.
	renamed := p.secret == nil && p.formerSecret != nil
	if renamed || p.isRecalled || p.Secret != plan.SecretIntact && p.Secret != plan.SecretOutdated {
		if err := p.confirmSecret(ctx); err != nil {
			return err
		}
		p.derive()
	}
	return nil
}

// cachedSecret reads a Secret from the cache, or from the API server if the cache keeps only a part
// of it or is behind. It returns nil if there is none.
func (p *pass) cachedSecret(ctx context.Context, name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: p.at.Namespace, Name: name}
	behind, err := read.Cached(ctx, p.Client, key, &secret)
	switch {
	case behind, err == nil && directory.IsTrimmed(&secret):
		live, _, err := p.readSecret(ctx, key)
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
func (p *pass) formerSecretName() string {
	if p.at.Status.SecretName == p.spec.Secret.Name {
		return ""
	}
	return p.at.Status.SecretName
}

func (p *pass) dropForeignFormer() {
	if p.formerSecret != nil && !p.heldTokenIn(p.formerSecret).isDelivered(p.formerSecret, p.at) {
		p.formerSecret = nil
	}
}

// confirmSecret reads the Secret, and the records that it can be about, from the API server. It
// reads only the metadata of a Secret that mayRead excludes.
func (p *pass) confirmSecret(ctx context.Context) error {
	secret, foreign, err := p.readSecret(ctx, types.NamespacedName{Namespace: p.at.Namespace, Name: p.spec.Secret.Name})
	if err != nil {
		return err
	}
	p.secret, p.isForeign = secret, foreign
	if name := p.formerSecretName(); name != "" && p.formerSecret == nil {
		if p.formerSecret, _, err = p.readSecret(ctx, types.NamespacedName{Namespace: p.at.Namespace, Name: name}); err != nil {
			return err
		}
	}
	for _, holder := range []*corev1.Secret{p.secret, p.formerSecret} {
		if holder == nil {
			continue
		}
		for _, name := range tokenspec.NamedRecords(holder) {
			if err := p.confirmRecord(ctx, name); err != nil {
				return err
			}
		}
	}
	p.dropForeignFormer()
	if p.at.Status.SecretName == "" && p.heldTokenIn(p.secret).isInSecret {
		p.formerSecret = nil // it was found by its label alone, and is a copy
	}
	if p.isRecalled {
		return p.confirmRecord(ctx, p.keptToken.Digest().RecordName())
	}
	return nil
}

// confirmRecord reads a record of the token from the API server.
func (p *pass) confirmRecord(ctx context.Context, name string) error {
	if !record.IsName(name) { // tenants can write annotations
		return nil
	}
	rec, err := p.Records.Confirm(ctx, name)
	switch {
	case errors.Is(err, record.ErrGone):
		delete(p.records, name)
	case err != nil:
		return err
	case rec.Owner.Kind == tokenspec.OwnerKind && rec.Owner.Namespace == p.at.Namespace && rec.Owner.Name == p.at.Name:
		p.records[name] = rec
	}
	return nil
}

// readSecret reads a Secret from the API server, but not the content of a foreign Secret.
func (p *pass) readSecret(ctx context.Context, key types.NamespacedName) (secret *corev1.Secret, foreign bool, err error) {
	var meta metav1.PartialObjectMetadata
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := p.Live.Get(ctx, key, &meta); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("confirm Secret %s: %w", key, err)
	}
	if !p.mayRead(&meta) {
		return nil, true, nil
	}
	secret = new(corev1.Secret)
	if err := p.Live.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("confirm Secret %s: %w", key, err)
	}
	return secret, false, nil
}

// holder returns the Secret that holds the token: the one that the spec asks for, or the former one
// until the token has the one that it asks for.
func (p *pass) holder() *corev1.Secret {
	if p.secret == nil || p.Secret == plan.SecretForeign {
		return p.formerSecret
	}
	return p.secret
}

// derive sets what follows from the Secret and the records. It is called again after each action,
// on the state that the action left.
func (p *pass) derive() {
	p.Observed = plan.Observed{IncompleteRollout: p.IncompleteRollout, RolloutSeenAt: p.RolloutSeenAt, UsesKnownFrom: p.UsesKnownFrom}
	p.token, p.heldSecret, p.isRecalled = token.Token{}, nil, false
	uid := ""
	if p.spec.DeliveredInResponse {
		uid = p.deriveFromAnnotation()
	} else {
		uid = p.deriveSecret()
	}
	p.setOthers(uid)
}

// deriveSecret sets what follows from the Secret. It returns the uid of the owner that the record
// of the Secret names.
func (p *pass) deriveSecret() string {
	h := p.heldTokenIn(p.secret)
	taken := p.isForeign || p.secret != nil && !h.belongsToToken(p.secret, p.at)
	secret := p.secret
	unused := secret != nil && secret.Annotations[v1alpha1.AnnotationRecord] == "" && !h.provesDelivery // such as an offered Secret
	if secret == nil || taken || unused && p.formerSecret != nil {
		secret = p.formerSecret
		h = p.heldTokenIn(secret)
	}
	if secret == p.secret {
		if kept, ok := p.overwrittenToken(secret, h); ok {
			h, p.isRecalled = kept, true
		}
	}
	p.token = h.token
	uid := string(p.at.UID)
	switch {
	case secret == nil:
		p.Secret = plan.SecretAbsent
	case !h.isKnown && secret.Annotations[v1alpha1.AnnotationRecord] != "":
		p.Secret = plan.SecretRecordMissing
	case !h.isCurrent() || p.spec.Kind != 0 && p.token.Kind() != p.spec.Kind:
		p.Secret = plan.SecretAltered
	default:
		// The Secret proves that this token is the owner of the record. Where the uid differs, both
		// were restored from a backup, and so were the other records of that uid.
		current := tokenspec.PlanVersion(h.record, p.at)
		p.Current, p.heldSecret = &current, secret
		uid = h.record.Owner.UID
		p.Secret = plan.SecretOutdated
		if p.spec.IsCurrent(secret, p.at, h.record, p.token) {
			p.Secret = plan.SecretIntact
		}
	}
	p.HasFormerSecret = p.formerSecret != nil
	if taken {
		p.Secret = plan.SecretForeign
	}
	return uid
}

// setOthers adds the records beside the current one that are of an owner of that uid or of this
// token itself.
func (p *pass) setOthers(uid string) {
	// The predecessors of the current record are the token's too: after a restore, they may be
	// observed one pass apart.
	line, before := map[string]bool{}, ""
	if p.Current != nil {
		before = p.Current.Predecessor
	}
	for name := before; name != "" && !line[name]; name = p.records[name].Predecessor {
		line[name] = true
	}
	for name, rec := range p.records {
		isOwn := rec.Owner.UID == uid || rec.Owner.UID == string(p.at.UID) || line[name]
		if (p.Current == nil || name != p.Current.Record) && name != p.pendingRecord && isOwn {
			p.Others = append(p.Others, tokenspec.PlanVersion(rec, p.at))
		}
	}
	slices.SortFunc(p.Others, tokenspec.CompareNewestFirst)
}

// deriveFromAnnotation sets the observed state of a token that is delivered in responses. It
// returns the uid of the owner that the current record names.
func (p *pass) deriveFromAnnotation() string {
	p.Secret = plan.SecretAbsent
	named, there := p.records[tokenspec.DeliveredRecord(p.at)]
	if !there || !named.SupersededAt.IsZero() {
		return string(p.at.UID)
	}
	current := tokenspec.PlanVersion(named, p.at)
	p.Current, p.Secret = &current, plan.SecretIntact
	return named.Owner.UID
}

// delivery returns what decides about restarts.
func (p *pass) delivery() restart.Delivery {
	return restart.Delivery{Current: p.Current, IsOnly: len(p.Others) == 0, Secret: p.holder(), IsDelivered: p.isDelivered, IsAdopted: p.isAdopted}
}
