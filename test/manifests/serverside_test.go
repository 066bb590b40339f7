package manifests_test

import (
	"slices"
	"testing"
)

// Server-side apply after client-side apply conflicts if the API server sets a default in a field
// that is owned as a whole: the field then differs from the manifest. The manifests write such
// defaults out.
func TestApply_ClientAndServerSideInEitherOrder(t *testing.T) {
	trackConfigFiles(t)
	client, server := []string{"apply", "--validate=strict"}, []string{"apply", "--validate=strict", "--server-side"}
	for mode, folders := range map[string][]string{"default": {"default", "network", "samples"}, "namespaced": {"namespaced"}} {
		for order, steps := range map[string][][]string{
			"client-side first": {client, server, client},
			"server-side first": {server, client, server},
		} {
			t.Run(mode+" "+order, func(t *testing.T) {
				_, k := emptyCluster(t)
				k.run(t, append(slices.Clone(steps[0]), "-f", configPath("samples/namespace.yaml"))...)
				for _, folder := range folders {
					for _, step := range steps {
						k.run(t, append(slices.Clone(step), "-k", configPath(folder))...)
					}
					k.waitForKinds(t)
					k.run(t, "diff", "-k", configPath(folder))
				}
			})
		}
	}
}
