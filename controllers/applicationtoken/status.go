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

// setStatus sets in the status what was observed, and how the pass ended.
func setStatus(now time.Time, at *v1alpha1.ApplicationToken, spec tokenspec.Desired, s observed, p plan.Plan, err error) {
	if err == nil || s.records != nil {
		setVersionStatus(at, spec, s)
	}
	if refused, ok := errors.AsType[*apierr.Refuse](err); ok {
		p, err = plan.Plan{Why: plan.Why(refused.Reason), Message: refused.Message}, nil
	}
	if err != nil {
		setStoreUnavailable(now, at)
		return
	}
	at.Status.ObservedGeneration = at.Generation
	setReadyCondition(now, at, spec, s, p)
	setTransientConditions(now, at, spec, s)
	setRotationPending(now, at, p)
}

func setVersionStatus(at *v1alpha1.ApplicationToken, spec tokenspec.Desired, s observed) {
	st := &at.Status
	st.Client, st.User = spec.Requested.Client, spec.Requested.User
	if v := newestVersion(s); v != nil { // versions that were not moved keep their client and user
		st.Client, st.User = v.Grants.Client, v.Grants.User
	}
	st.Current, st.NextRotation, st.Predecessors = nil, nil, nil
	if c := s.Current; c != nil {
		st.Current = &v1alpha1.CurrentVersion{
			Record: c.Record, Hint: c.Hint, IssuedAt: metav1.NewTime(c.IssuedAt), ExpiresAt: tokenspec.MetaTimeOrNil(c.ExpiresAt),
			LastUsedAt: tokenspec.MetaTimeOrNil(c.LastUsedAt), LastUsedFrom: c.LastUsedFrom,
		}
		st.Rotations = c.Number - 1
		if due, _ := plan.NextRotation(spec.Desired, *c); spec.State == plan.Active && spec.Refused.Reason == "" && s.Secret != plan.SecretForeign {
			st.NextRotation = tokenspec.MetaTimeOrNil(due)
		}
	}
	for _, v := range s.Others {
		if v.SupersededAt.IsZero() {
			continue
		}
		st.Predecessors = append(st.Predecessors, v1alpha1.PredecessorVersion{
			Record: v.Record, Hint: v.Hint, RetiresAt: tokenspec.MetaTimeOrNil(v.ExpiresAt), LastUsedAt: tokenspec.MetaTimeOrNil(v.LastUsedAt), LastUsedFrom: v.LastUsedFrom,
		})
	}
	if !spec.DeliveredInResponse {
		st.SecretName = ""
	}
	if s.formerSecret != nil { // until it is gone
		st.SecretName = s.formerSecret.Name
	} else if holder := s.holder(); holder != nil {
		st.SecretName = holder.Name
	}
	if !at.IsCloned() {
		st.Cloned = nil
		if at.Spec.CloneFrom != nil && s.Current != nil && spec.Requested.Client != "" {
			st.Cloned = tokenspec.ClonedGrants(at, spec.Requested)
		}
	}
}

// newestVersion returns the newest version of a token; nil: none.
func newestVersion(s observed) *plan.Version {
	if s.Current == nil && len(s.Others) > 0 {
		return &s.Others[0]
	}
	return s.Current
}

// setReadyCondition sets Ready, and the conditions that kstatus reads beside it.
func setReadyCondition(now time.Time, at *v1alpha1.ApplicationToken, spec tokenspec.Desired, s observed, p plan.Plan) {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: string(p.Why), Message: p.Message}
	switch p.Why { //nolint:exhaustive // the other reasons are reported as they are
	case plan.UpToDate, plan.RotationPending:
		ready.Status, ready.Reason = metav1.ConditionTrue, v1alpha1.ReasonIssued
		ready.Message = issuedMessage(spec, s)
		if spec.DeliveredInResponse {
			ready.Reason = v1alpha1.ReasonDelivered
		}
	case plan.SecretTaken:
		ready.Message = secretTakenMessage(at, spec, s)
	}
	at.SetCondition(now, ready)
	meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionReconciling)
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	at.SetCondition(now, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: ready.Reason, Message: ready.Message})
}

// issuedMessage returns a message that names the Secret, or the response, that holds the token.
func issuedMessage(spec tokenspec.Desired, s observed) string {
	if spec.DeliveredInResponse {
		return fmt.Sprintf("Version %d (%s) was delivered in a response of the HTTP API", s.Current.Number, s.Current.Hint)
	}
	return fmt.Sprintf("Secret %s holds version %d (%s)", s.holder().Name, s.Current.Number, s.Current.Hint)
}

// secretTakenMessage returns a message that names the owner of the Secret that the spec asks for,
// and what can be done about it.
func secretTakenMessage(at *v1alpha1.ApplicationToken, spec tokenspec.Desired, s observed) string {
	text := fmt.Sprintf("Secret %s exists and is not managed by the operator; set another spec.secret.name, delete that Secret, or offer it with the label %s=true and the annotation %s=%s",
		spec.Secret.Name, v1alpha1.LabelManaged, v1alpha1.AnnotationAdopt, at.Name)
	if s.secret != nil {
		switch owner := metav1.GetControllerOf(s.secret); {
		case owner != nil && tokenspec.IsTokenReference(owner) && owner.Name != at.Name:
			text = fmt.Sprintf("Secret %s belongs to ApplicationToken %s; set another spec.secret.name", spec.Secret.Name, owner.Name) + secretNameCycleMessage(s.secretNameCycle)
		case owner != nil && !tokenspec.IsTokenReference(owner):
			text = fmt.Sprintf("%s %s controls Secret %s; set another spec.secret.name, or have the Secret released by it", owner.Kind, owner.Name, spec.Secret.Name)
		case s.secret.Labels[v1alpha1.LabelToken] == at.Name && s.secret.Type == corev1.SecretTypeOpaque:
			text = fmt.Sprintf("Secret %s was left by an ApplicationToken of this name that is gone, and no record vouches for what it holds; delete it, and a new token is made, or offer it with the annotation %s=%s",
				spec.Secret.Name, v1alpha1.AnnotationAdopt, at.Name)
		case s.secret.Type != corev1.SecretTypeOpaque:
			text = fmt.Sprintf("Secret %s is of type %s, and tokens are in Secrets of type Opaque alone; set another spec.secret.name, or delete that Secret", spec.Secret.Name, s.secret.Type)
		}
	}
	if s.Current != nil {
		text += fmt.Sprintf("; until then Secret %s holds version %d (%s)", s.formerSecret.Name, s.Current.Number, s.Current.Hint)
	}
	return text
}

// setStoreUnavailable sets the conditions after an error that is retried. A token that is Ready
// stays Ready.
func setStoreUnavailable(now time.Time, at *v1alpha1.ApplicationToken) {
	if meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionReady) {
		return
	}
	const message = "The API server did not complete a request; the operator retries, and its log has the response"
	meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionStalled)
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
		{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue},
	} {
		c.Reason, c.Message = v1alpha1.ReasonStoreUnavailable, message
		at.SetCondition(now, c)
	}
}

// setTransientConditions sets the conditions that exist only while they are true.
func setTransientConditions(now time.Time, at *v1alpha1.ApplicationToken, spec tokenspec.Desired, s observed) {
	if kept, ok := plan.KeptPredecessor(now, spec.Desired, s.Observed); !ok {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionPredecessorInUse)
	} else {
		at.SetCondition(now, metav1.Condition{
			Type: v1alpha1.ConditionPredecessorInUse, Status: metav1.ConditionTrue, Reason: string(kept.Why), Message: keptMessage(kept),
		})
	}
	setWithheldCondition(now, at, spec)
	soon := false
	if c := s.Current; c != nil {
		from := plan.ExpiryNotice(spec.Desired, *c)
		soon = !from.IsZero() && !now.Before(from) && !c.ExpiredAt(now)
	}
	if !soon {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionExpiringSoon)
		return
	}
	at.SetCondition(now, metav1.Condition{
		Type: v1alpha1.ConditionExpiringSoon, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNoRotation,
		Message: expiryMessage(s.Current.ExpiresAt, spec.Desired),
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
func setWithheldCondition(now time.Time, at *v1alpha1.ApplicationToken, spec tokenspec.Desired) {
	if spec.HasQuota || spec.QuotaRefusal == nil && !spec.DeliveredInResponse && !tokenspec.HasVersion(at) {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionWithheld)
		return
	}
	why := spec.Refused
	if spec.QuotaRefusal != nil {
		why = *spec.QuotaRefusal
	}
	if why.Reason == "" { // it is revoked
		why = plan.Refusal{Reason: at.ReadyReason()}
	}
	at.SetCondition(now, metav1.Condition{Type: v1alpha1.ConditionWithheld, Status: metav1.ConditionTrue, Reason: why.Reason, Message: why.Message})
}

// setRotationPending sets the condition that exists while a due rotation waits.
func setRotationPending(now time.Time, at *v1alpha1.ApplicationToken, p plan.Plan) {
	if p.Why != plan.RotationPending {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionRotationPending)
		return
	}
	at.SetCondition(now, metav1.Condition{
		Type: v1alpha1.ConditionRotationPending, Status: metav1.ConditionTrue, Reason: string(p.DeferredBy), Message: p.Message,
	})
}

// updateStatus updates the status if it has changed, and then records events and metrics of the
// transitions.
func (r *Reconciler) updateStatus(ctx context.Context, before, at *v1alpha1.ApplicationToken) error {
	if equality.Semantic.DeepEqual(before.Status, at.Status) {
		return nil
	}
	written := at.DeepCopy()
	if err := r.Client.Status().Update(ctx, written); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	for _, c := range at.Status.Conditions {
		was := meta.FindStatusCondition(before.Status.Conditions, c.Type)
		if was != nil && was.Status == c.Status && was.Reason == c.Reason {
			continue
		}
		switch {
		case c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue:
			r.Metrics.ObserveReady(r.Now().Sub(at.CreationTimestamp.Time), was)
		case c.Type == v1alpha1.ConditionReady,
			c.Type == v1alpha1.ConditionRestarted && c.Status == metav1.ConditionFalse,
			c.Type == v1alpha1.ConditionExpiringSoon:
			r.Events.Eventf(at, nil, corev1.EventTypeWarning, c.Reason, "Check", "%s", c.Message)
		case c.Type == v1alpha1.ConditionPredecessorInUse, c.Type == v1alpha1.ConditionRotationPending:
			r.Events.Eventf(at, nil, corev1.EventTypeNormal, c.Type, "Check", "%s", c.Message)
		}
	}
	return nil
}

func (r *Reconciler) recordIssuedEvent(at *v1alpha1.ApplicationToken, p plan.Plan, rec record.Record) {
	r.Metrics.CountIssue(p)
	switch p.Why {
	case plan.FirstIssue:
		r.Events.Eventf(at, nil, corev1.EventTypeNormal, v1alpha1.ReasonIssued, "Issue", "Issued version %d (%s)", rec.Version, rec.Hint)
	case plan.SelfRequested:
		r.Events.Eventf(at, nil, corev1.EventTypeNormal, v1alpha1.EventSelfRotated, "Rotate", tokenspec.SelfRotatedNote, rec.Version, rec.Hint, p.Version.Hint)
	case plan.RotationDue, plan.ExpiryNear, plan.IssuedAhead, plan.TriggerChanged:
		r.Events.Eventf(at, nil, corev1.EventTypeNormal, v1alpha1.EventRotated, "Rotate", "Version %d (%s) takes over from %s: %s", rec.Version, rec.Hint, p.Version.Hint, p.Why)
	default:
		r.Events.Eventf(at, nil, corev1.EventTypeWarning, v1alpha1.EventReissued, "Issue", "Issued version %d (%s): %s", rec.Version, rec.Hint, p.Why)
	}
}

func (r *Reconciler) recordRetiredEvent(at *v1alpha1.ApplicationToken, p plan.Plan) {
	r.Metrics.CountRetirement(p)
	v := p.Version
	kind, reason := corev1.EventTypeNormal, v1alpha1.EventRetired
	note := fmt.Sprintf("Version %d (%s) retired: %s", v.Number, v.Hint, p.Why)
	if p.Why == plan.OverlapOverInUse || p.Why == plan.TooManyPredecessors && !v.LastUsedAt.IsZero() {
		kind, reason = corev1.EventTypeWarning, v1alpha1.EventRetiredInUse
		note = fmt.Sprintf("Version %d (%s) was retired although it was in use: last at %s from %s (%s)",
			v.Number, v.Hint, v.LastUsedAt.UTC().Format(time.RFC3339), addressOrUnknown(v.LastUsedFrom), p.Why)
	}
	// Events that differ only in their note become a series with the note of the first. The related
	// record keeps them apart.
	gone := &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: r.Records.Namespace(), Name: v.Record}}
	r.Events.Eventf(at, gone, kind, reason, "Retire", "%s", note)
}

func addressOrUnknown(address string) string {
	if address == "" {
		return "an unknown address"
	}
	return address
}
