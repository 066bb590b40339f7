package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/apptoken/operator/api/v1alpha1"
)

// unstructuredObject holds fields that the operator's types may not have.
type unstructuredObject = unstructured.Unstructured

// describe returns everything of the tenant but the tokens themselves, to explain a failure.
func (w *tenant) describe() string {
	// The test's own context may be over.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out strings.Builder
	show := func(title string, v any) {
		text, err := yaml.Marshal(v)
		fmt.Fprintf(&out, "--- %s\n%s", title, text)
		if err != nil {
			fmt.Fprintln(&out, err)
		}
	}
	var ns corev1.Namespace
	if err := admin.Get(ctx, client.ObjectKey{Name: w.name}, &ns); err == nil {
		show("namespace", map[string]any{"deletionTimestamp": ns.DeletionTimestamp, "phase": ns.Status.Phase})
	}
	var c v1alpha1.Client
	if err := admin.Get(ctx, client.ObjectKey{Name: w.name}, &c); err == nil {
		c.ManagedFields = nil
		show("client", c)
	}
	var tokens v1alpha1.ApplicationTokenList
	if err := admin.List(ctx, &tokens, client.InNamespace(w.name)); err != nil {
		show("no tokens", err.Error())
	}
	for _, at := range tokens.Items {
		at.ManagedFields = nil
		show("token "+at.Name, at)
	}
	var records v1alpha1.TokenRecordList
	if err := admin.List(ctx, &records, client.InNamespace(systemNamespace), client.MatchingFields{"spec.owner.namespace": w.name}); err != nil {
		show("no records", err.Error())
	}
	for _, r := range records.Items {
		show("record "+r.Name, map[string]any{"spec": r.Spec, "status": r.Status})
	}
	var secrets corev1.SecretList
	if err := admin.List(ctx, &secrets, client.InNamespace(w.name)); err != nil {
		show("no secrets", err.Error())
	}
	for _, s := range secrets.Items {
		show("secret "+s.Name, map[string]any{
			"labels": s.Labels, "annotations": s.Annotations, "owners": s.OwnerReferences, "type": s.Type,
			"keys": slices.Sorted(maps.Keys(s.Data)), "version": s.ResourceVersion,
		})
	}
	var events eventsv1.EventList
	if err := admin.List(ctx, &events, client.InNamespace(w.name)); err == nil {
		for _, e := range events.Items {
			fmt.Fprintf(&out, "%s %s/%s %s %s: %s\n", e.EventTime.Format(time.TimeOnly), e.Regarding.Kind, e.Regarding.Name, e.Type, e.Reason, e.Note)
		}
	}
	for line := range strings.Lines(operatorLog.String()) {
		if strings.Contains(line, `"`+w.name+`"`) && strings.Contains(line, `"level":"error"`) {
			out.WriteString(line)
		}
	}
	return out.String()
}
