package applicationtoken

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// setStatus sets in the status what was observed, and how the pass ended: by its plan, or by err.
func (p *pass) setStatus(err error) {
	if err == nil || p.records != nil {
		p.setVersionStatus()
	}
	if refused, ok := errors.AsType[*apierr.Refuse](err); ok {
		p.plan, err = plan.Plan{Why: plan.Why(refused.Reason), Message: refused.Message}, nil
	}
	if err != nil {
		p.setStoreUnavailable()
		return
	}
	p.at.Status.ObservedGeneration = p.at.Generation
	p.setReadyCondition()
	p.setTransientConditions()
	p.setRotationPending()
}

func (p *pass) setVersionStatus() {
	st := &p.at.Status
	st.Client, st.User = p.spec.Requested.Client, p.spec.Requested.User
	if v := p.newestVersion(); v != nil { // versions that were not moved keep their client and user
		st.Client, st.User = v.Grants.Client, v.Grants.User
	}
	st.Current, st.NextRotation, st.Predecessors = nil, nil, nil
	if c := p.Current; c != nil {
		st.Current = &v1alpha1.CurrentVersion{
			Record: c.Record, Hint: c.Hint, IssuedAt: metav1.NewTime(c.IssuedAt), ExpiresAt: tokenspec.MetaTimeOrNil(c.ExpiresAt),
			LastUsedAt: tokenspec.MetaTimeOrNil(c.LastUsedAt), LastUsedFrom: c.LastUsedFrom,
		}
		st.Rotations = c.Number - 1
		if due, _ := plan.NextRotation(p.spec.Desired, *c); p.spec.State == plan.Active && p.spec.Refused.Reason == "" && p.Secret != plan.SecretForeign {
			st.NextRotation = tokenspec.MetaTimeOrNil(due)
		}
	}
	for _, v := range p.Others {
		if v.SupersededAt.IsZero() {
			continue
		}
		st.Predecessors = append(st.Predecessors, v1alpha1.PredecessorVersion{
			Record: v.Record, Hint: v.Hint, RetiresAt: tokenspec.MetaTimeOrNil(v.ExpiresAt), LastUsedAt: tokenspec.MetaTimeOrNil(v.LastUsedAt), LastUsedFrom: v.LastUsedFrom,
		})
	}
	if !p.spec.DeliveredInResponse {
		st.SecretName = ""
	}
	if p.formerSecret != nil { // until it is gone
		st.SecretName = p.formerSecret.Name
	} else if holder := p.holder(); holder != nil {
		st.SecretName = holder.Name
	}
	if !p.at.IsCloned() {
		st.Cloned = nil
		if p.at.Spec.CloneFrom != nil && p.Current != nil && p.spec.Requested.Client != "" {
			st.Cloned = tokenspec.ClonedGrants(p.at, p.spec.Requested)
		}
	}
}

// newestVersion returns the newest version of a token; nil: none.
func (p *pass) newestVersion() *plan.Version {
	if p.Current == nil && len(p.Others) > 0 {
		return &p.Others[0]
	}
	return p.Current
}

// setReadyCondition sets Ready, and the conditions that kstatus reads beside it.
func (p *pass) setReadyCondition() {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: string(p.plan.Why), Message: p.plan.Message}
	switch p.plan.Why { //nolint:exhaustive // the other reasons are reported as they are
	case plan.UpToDate, plan.RotationPending:
		ready.Status, ready.Reason = metav1.ConditionTrue, v1alpha1.ReasonIssued
		ready.Message = p.issuedMessage()
		if p.spec.DeliveredInResponse {
			ready.Reason = v1alpha1.ReasonDelivered
		}
	case plan.SecretTaken:
		ready.Message = p.secretTakenMessage()
	}
	p.at.SetCondition(p.now, ready)
	meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionReconciling)
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	p.at.SetCondition(p.now, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: ready.Reason, Message: ready.Message})
}

// issuedMessage returns a message that names the Secret, or the response, that holds the token.
func (p *pass) issuedMessage() string {
	if p.spec.DeliveredInResponse {
		return fmt.Sprintf("Version %d (%s) was delivered in a response of the HTTP API", p.Current.Number, p.Current.Hint)
	}
	return fmt.Sprintf("Secret %s holds version %d (%s)", p.holder().Name, p.Current.Number, p.Current.Hint)
}

// secretTakenMessage returns a message that names the owner of the Secret that the spec asks for,
// and what can be done about it.
func (p *pass) secretTakenMessage() string {
	text := fmt.Sprintf("Secret %s exists and is not managed by the operator; set another spec.secret.name, delete that Secret, or offer it with the label %s=true and the annotation %s=%s",
		p.spec.Secret.Name, v1alpha1.LabelManaged, v1alpha1.AnnotationAdopt, p.at.Name)
	if p.secret != nil {
		switch owner := metav1.GetControllerOf(p.secret); {
		case owner != nil && tokenspec.IsTokenReference(owner) && owner.Name != p.at.Name:
			text = fmt.Sprintf("Secret %s belongs to ApplicationToken %s; set another spec.secret.name", p.spec.Secret.Name, owner.Name) + secretNameCycleMessage(p.secretNameCycle)
		case owner != nil && !tokenspec.IsTokenReference(owner):
			text = fmt.Sprintf("%s %s controls Secret %s; set another spec.secret.name, or have the Secret released by it", owner.Kind, owner.Name, p.spec.Secret.Name)
		case p.secret.Labels[v1alpha1.LabelToken] == p.at.Name && p.secret.Type == corev1.SecretTypeOpaque:
			text = fmt.Sprintf("Secret %s was left by an ApplicationToken of this name that is gone, and no record vouches for what it holds; delete it, and a new token is made, or offer it with the annotation %s=%s",
				p.spec.Secret.Name, v1alpha1.AnnotationAdopt, p.at.Name)
		case p.secret.Type != corev1.SecretTypeOpaque:
			text = fmt.Sprintf("Secret %s is of type %s, and tokens are in Secrets of type Opaque alone; set another spec.secret.name, or delete that Secret", p.spec.Secret.Name, p.secret.Type)
		}
	}
	if p.Current != nil {
		text += fmt.Sprintf("; until then Secret %s holds version %d (%s)", p.formerSecret.Name, p.Current.Number, p.Current.Hint)
	}
	return text
}

// setStoreUnavailable sets the conditions after an error that is retried. A token that is Ready
// stays Ready.
func (p *pass) setStoreUnavailable() {
	if meta.IsStatusConditionTrue(p.at.Status.Conditions, v1alpha1.ConditionReady) {
		return
	}
	const message = "The API server did not complete a request; the operator retries, and its log has the response"
	meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionStalled)
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
		{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue},
	} {
		c.Reason, c.Message = v1alpha1.ReasonStoreUnavailable, message
		p.at.SetCondition(p.now, c)
	}
}

// setTransientConditions sets the conditions that exist only while they are true.
func (p *pass) setTransientConditions() {
	if kept, ok := plan.KeptPredecessor(p.now, p.spec.Desired, p.Observed); !ok {
		meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionPredecessorInUse)
	} else {
		p.at.SetCondition(p.now, metav1.Condition{
			Type: v1alpha1.ConditionPredecessorInUse, Status: metav1.ConditionTrue, Reason: string(kept.Why), Message: keptMessage(kept),
		})
	}
	p.setWithheldCondition()
	soon := false
	if c := p.Current; c != nil {
		from := plan.ExpiryNotice(p.spec.Desired, *c)
		soon = !from.IsZero() && !p.now.Before(from) && !c.ExpiredAt(p.now)
	}
	if !soon {
		meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionExpiringSoon)
		return
	}
	p.at.SetCondition(p.now, metav1.Condition{
		Type: v1alpha1.ConditionExpiringSoon, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNoRotation,
		Message: expiryMessage(p.Current.ExpiresAt, p.spec.Desired),
	})
}

// expiryMessage returns a message that names what keeps a version from being rotated before it
// expires, and what to do. A token that is revoked, refused or suspended does not rotate, even if
// its spec asks for rotation.
func expiryMessage(expires time.Time, want plan.Desired) string {
	why := "nothing asks for rotation; set spec.rotation.every, or change spec.rotation.trigger"
	switch {
	case want.State == plan.Revoked:
		why = "a revoked token does not rotate; delete it and declare a new one"
	case want.Refused.Reason != "":
		why = fmt.Sprintf("it does not rotate (%s): %s", want.Refused.Reason, want.Refused.Message)
	case want.State == plan.Suspended:
		why = "a suspended token does not rotate; set spec.state to Active"
	case want.DeliveredInResponse:
		why = "nothing asks for rotation; rotate it through the HTTP API"
	}
	return fmt.Sprintf("Expires at %s, and %s", expires.UTC().Format(time.RFC3339), why)
}

// keptMessage returns a message that names the evidence that is missing for the retirement of a
// predecessor.
func keptMessage(k plan.KeptVersion) string {
	v := k.Version
	from, end := addressOrUnknown(v.LastUsedFrom), v.ExpiresAt.UTC().Format(time.RFC3339)
	use := "no use of it was recorded"
	if !v.LastUsedAt.IsZero() {
		use = fmt.Sprintf("it was last used at %s from %s", v.LastUsedAt.UTC().Format(time.RFC3339), from)
	}
	if k.Why == plan.SuccessorUnused {
		return fmt.Sprintf("Predecessor %s stays until %s: no successor of it has been used, so nothing shows that its consumers "+
			"read the new token; %s", v.Hint, end, use)
	}
	state := "is still used"
	if !v.LastUsedAt.After(v.SupersededAt) {
		state = "has not been quiet for quietPeriod since the rotation"
	}
	text := fmt.Sprintf("Predecessor %s %s: %s; it is retired at %s in any case", v.Hint, state, use, end)
	switch {
	case len(k.Successors) == 0:
		text += "; no successor of it has been used"
	case k.HasUnknownSource():
		text += fmt.Sprintf("; its successor was last used from %s, so check that %s reads the new token", addressOrUnknown(k.Successors[0].LastUsedFrom), from)
	}
	return text
}

// setWithheldCondition sets or removes the condition of a token without quota. After a restart, the
// quota is counted again by this condition.
func (p *pass) setWithheldCondition() {
	if p.spec.HasQuota || p.spec.QuotaRefusal == nil && !p.spec.DeliveredInResponse && !tokenspec.HasVersion(p.at) {
		meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionWithheld)
		return
	}
	why := p.spec.Refused
	if p.spec.QuotaRefusal != nil {
		why = *p.spec.QuotaRefusal
	}
	if why.Reason == "" { // it is revoked
		why = plan.Refusal{Reason: p.at.ReadyReason()}
	}
	p.at.SetCondition(p.now, metav1.Condition{Type: v1alpha1.ConditionWithheld, Status: metav1.ConditionTrue, Reason: why.Reason, Message: why.Message})
}

// setRotationPending sets the condition that exists while a due rotation waits.
func (p *pass) setRotationPending() {
	if p.plan.Why != plan.RotationPending {
		meta.RemoveStatusCondition(&p.at.Status.Conditions, v1alpha1.ConditionRotationPending)
		return
	}
	p.at.SetCondition(p.now, metav1.Condition{
		Type: v1alpha1.ConditionRotationPending, Status: metav1.ConditionTrue, Reason: string(p.plan.DeferredBy), Message: p.plan.Message,
	})
}

// updateStatus updates the status if it has changed, and then records events and metrics of the
// transitions.
func (p *pass) updateStatus(ctx context.Context, before *v1alpha1.ApplicationToken) error {
	if equality.Semantic.DeepEqual(before.Status, p.at.Status) {
		return nil
	}
	written := p.at.DeepCopy()
	if err := p.Client.Status().Update(ctx, written); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	for _, c := range p.at.Status.Conditions {
		was := meta.FindStatusCondition(before.Status.Conditions, c.Type)
		if was != nil && was.Status == c.Status && was.Reason == c.Reason {
			continue
		}
		switch {
		case c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue:
			p.Metrics.ObserveReady(p.Now().Sub(p.at.CreationTimestamp.Time), was)
		case c.Type == v1alpha1.ConditionReady,
			c.Type == v1alpha1.ConditionRestarted && c.Status == metav1.ConditionFalse,
			c.Type == v1alpha1.ConditionExpiringSoon:
			p.Events.Eventf(p.at, nil, corev1.EventTypeWarning, c.Reason, "Check", "%s", c.Message)
		case c.Type == v1alpha1.ConditionPredecessorInUse, c.Type == v1alpha1.ConditionRotationPending:
			p.Events.Eventf(p.at, nil, corev1.EventTypeNormal, c.Type, "Check", "%s", c.Message)
		}
	}
	return nil
}

func (p *pass) recordIssuedEvent(rec record.Record) {
	p.Metrics.CountIssue(p.plan)
	switch p.plan.Why {
	case plan.FirstIssue:
		p.Events.Eventf(p.at, nil, corev1.EventTypeNormal, v1alpha1.ReasonIssued, "Issue", "Issued version %d (%s)", rec.Version, rec.Hint)
	case plan.SelfRequested:
		p.Events.Eventf(p.at, nil, corev1.EventTypeNormal, v1alpha1.EventSelfRotated, "Rotate", tokenspec.SelfRotatedNote, rec.Version, rec.Hint, p.plan.Version.Hint)
	case plan.RotationDue, plan.ExpiryNear, plan.IssuedAhead, plan.TriggerChanged:
		p.Events.Eventf(p.at, nil, corev1.EventTypeNormal, v1alpha1.EventRotated, "Rotate", "Version %d (%s) takes over from %s: %s", rec.Version, rec.Hint, p.plan.Version.Hint, p.plan.Why)
	default:
		p.Events.Eventf(p.at, nil, corev1.EventTypeWarning, v1alpha1.EventReissued, "Issue", "Issued version %d (%s): %s", rec.Version, rec.Hint, p.plan.Why)
	}
}

func (p *pass) recordRetiredEvent() {
	p.Metrics.CountRetirement(p.plan)
	v := p.plan.Version
	kind, reason := corev1.EventTypeNormal, v1alpha1.EventRetired
	note := fmt.Sprintf("Version %d (%s) retired: %s", v.Number, v.Hint, p.plan.Why)
	if p.plan.Why == plan.OverlapOverInUse || p.plan.Why == plan.TooManyPredecessors && !v.LastUsedAt.IsZero() {
		kind, reason = corev1.EventTypeWarning, v1alpha1.EventRetiredInUse
		note = fmt.Sprintf("Version %d (%s) was retired although it was in use: last at %s from %s (%s)",
			v.Number, v.Hint, v.LastUsedAt.UTC().Format(time.RFC3339), addressOrUnknown(v.LastUsedFrom), p.plan.Why)
	}
	// Events that differ only in their note become a series with the note of the first. The related
	// record keeps them apart.
	gone := &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: p.Records.Namespace(), Name: v.Record}}
	p.Events.Eventf(p.at, gone, kind, reason, "Retire", "%s", note)
}

func addressOrUnknown(address string) string {
	if address == "" {
		return "an unknown address"
	}
	return address
}
