package v1alpha1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestApply_TwiceChangesNothing(t *testing.T) {
	for _, k := range kinds() {
		for _, manifest := range k.manifests {
			for how, flag := range map[string]string{"on the client": "--server-side=false", "on the server": "--server-side=true"} {
				t.Run(manifest+" applied "+how, func(t *testing.T) {
					kubectl(t, text(t, manifest), "apply", flag, "-f", "-")
					first := read(t, manifest, nil)
					deleteAfter(t, first)
					get(t, first)
					kubectl(t, text(t, manifest), "apply", flag, "-f", "-")
					second := read(t, manifest, nil)
					get(t, second)
					if a, b := first.GetResourceVersion(), second.GetResourceVersion(); a != b {
						t.Errorf("the second apply made version %s of %s:\n%v", b, a, second)
					}
					if want := read(t, manifest, nil).Object["spec"]; !equality.Semantic.DeepEqual(want, second.Object["spec"]) {
						t.Errorf("what stands in the cluster is not what stands in Git:\n%v\n%v", second.Object["spec"], want)
					}
				})
			}
		}
	}
}

func get(t *testing.T, o client.Object) {
	t.Helper()
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
}

func TestGoTypes_RoundTripChangesNothing(t *testing.T) {
	typed := map[string]client.Object{
		"applicationtokens": &v1alpha1.ApplicationToken{}, "clients": &v1alpha1.Client{}, "tokenrecords": &v1alpha1.TokenRecord{},
		"users": &v1alpha1.User{},
	}
	for _, k := range kinds() {
		for _, manifest := range k.manifests {
			t.Run(manifest, func(t *testing.T) {
				o := read(t, manifest, nil)
				create(t, o)
				before, inGo := o.GetResourceVersion(), typed[k.plural].DeepCopyObject().(client.Object)
				inGo.SetNamespace(o.GetNamespace())
				inGo.SetName(o.GetName())
				get(t, inGo)
				if err := api.Update(t.Context(), inGo); err != nil {
					t.Fatal(err)
				}
				if after := inGo.GetResourceVersion(); after != before {
					get(t, o)
					t.Errorf("writing back made version %s of %s:\n%v", after, before, o.Object["spec"])
				}
			})
		}
	}
}

func TestDefaults_MatchComments(t *testing.T) {
	const token = "{apiVersion: apptoken.dev/v1alpha1, kind: ApplicationToken, metadata: {name: least, namespace: default}, spec: "
	cases := map[string]struct{ manifest, spec string }{
		"the least token is active and goes to a Secret": {
			token + "{clientRef: {name: acme}}}", `{clientRef: {name: acme}, state: Active, delivery: Secret}`,
		},
		"null is as good as nothing": {
			token + "{clientRef: {name: acme}, state: null, delivery: null, roles: null, lifetime: null}}",
			`{clientRef: {name: acme}, state: Active, delivery: Secret}`,
		},
		"an empty rotation stays empty": {
			token + "{clientRef: {name: acme}, rotation: {}}}", `{clientRef: {name: acme}, state: Active, delivery: Secret, rotation: {}}`,
		},
		"an empty retire waits until the predecessor is unused": {
			token + "{clientRef: {name: acme}, rotation: {retire: {}}}}",
			`{clientRef: {name: acme}, state: Active, delivery: Secret, rotation: {retire: {when: Unused}}}`,
		},
		"the least client is active": {
			"{apiVersion: apptoken.dev/v1alpha1, kind: Client, metadata: {name: least}, spec: {}}", `{state: Active}`,
		},
		"a client's policies allow what they do not speak of": {
			"{apiVersion: apptoken.dev/v1alpha1, kind: Client, metadata: {name: least}, spec: {tokens: {}, logins: {}}}",
			`{state: Active, tokens: {nonExpiring: Allow, selfRotation: Allow}, logins: {}}`,
		},
		"the least user is active": {
			"{apiVersion: apptoken.dev/v1alpha1, kind: User, metadata: {name: least}, spec: {}}", `{state: Active}`,
		},
		"the smallest account is no default": {
			"{apiVersion: apptoken.dev/v1alpha1, kind: User, metadata: {name: least}, spec: {accounts: [{client: acme}], namespaces: {}}}",
			`{state: Active, accounts: [{client: acme}], namespaces: {}}`,
		},
		"the least record is active": {
			`{apiVersion: apptoken.dev/v1alpha1, kind: TokenRecord, metadata: {name: at-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, namespace: default}, spec: {kind: Application,
			  digest: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, owner: {kind: User, name: a, uid: b}, issuedAt: "2026-03-01T12:00:00Z"}}`,
			`{kind: Application, digest: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, owner: {kind: User, name: a, uid: b},
			  issuedAt: "2026-03-01T12:00:00Z", state: Active}`,
		},
	}
	for sentence, c := range cases {
		t.Run(sentence, func(t *testing.T) {
			o := decode(t, []byte(c.manifest), nil)
			if err := dryRunCreate(t, o); err != nil {
				t.Fatal(err)
			}
			if want := decode(t, []byte(c.spec), nil).Object; !equality.Semantic.DeepEqual(o.Object["spec"], want) {
				t.Errorf("spec is %v, want %v", o.Object["spec"], want)
			}
		})
	}
}
