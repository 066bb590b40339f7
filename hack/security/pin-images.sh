#!/usr/bin/env bash
# Pins each base image of the Dockerfile to the current digest of its tag. It needs the registries
# of these images. If one is unreachable, it fails and does not change the Dockerfile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

pinned=$(<Dockerfile)
for image in $(sed -nE 's/^FROM (--[^ ]+ )?([^ @]+).*/\2/p' Dockerfile); do
	digest=$(timeout 60 go tool -modfile=hack/security/go.mod crane digest "$image") || {
		echo "pin-images: cannot read the digest of $image: check that its registry is reachable" >&2
		exit 1
	}
	pinned=$(sed -E "s#^(FROM (--[^ ]+ )?)${image//./\\.}(@[^ ]+)?( |\$)#\1$image@$digest\4#" <<<"$pinned")
	echo "pin-images: $image@$digest"
done
printf '%s\n' "$pinned" >Dockerfile
