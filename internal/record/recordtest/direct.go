package recordtest

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/record/kube"
)

// Direct returns a client that finds the records of an owner without a cache: it translates
// kube.IndexOwner to fields that the API server can select by.
func Direct(c client.Client) client.Client { return direct{c} }

type direct struct{ client.Client }

// List implements client.Reader.
func (d direct) List(ctx context.Context, list client.ObjectList, o ...client.ListOption) error {
	var options client.ListOptions
	options.ApplyOptions(o)
	if options.FieldSelector != nil {
		if owner, by := options.FieldSelector.RequiresExactMatch(kube.IndexOwner); by {
			namespace, name, _ := strings.Cut(owner, "/")
			options.FieldSelector = fields.SelectorFromSet(fields.Set{"spec.owner.namespace": namespace, "spec.owner.name": name})
		}
	}
	return d.Client.List(ctx, list, &options)
}
