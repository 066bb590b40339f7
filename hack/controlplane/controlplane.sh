#!/usr/bin/env bash
# Finds or builds a real control plane (kube-apiserver, etcd, kubectl) for development and tests,
# and prints its directory as the last line. It tries, in this order:
#
#   1. KUBEBUILDER_ASSETS, if it is set;
#   2. the cache, ${XDG_CACHE_HOME:-~/.cache}/apptoken-operator/controlplane;
#   3. a download by setup-envtest, which takes seconds and needs the internet;
#   4. a build from the Go modules pinned beside this file, which takes minutes.
#
# Progress goes to stderr, so that "$(hack/controlplane/controlplane.sh)" is only the directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
k8s=$(cd "$here/kubernetes" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
etcd=$(cd "$here/etcd" && go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/apptoken-operator/controlplane
assets=$cache/$k8s-etcd-$etcd-$(go env GOOS)-$(go env GOARCH)

say() { printf '%s\n' "$*" >&2; }

complete() {
	local name
	for name in kube-apiserver etcd kubectl; do
		[ -x "$1/$name" ] || { missing=$1/$name; return 1; }
	done
}

download() {
	local version=v0.25.1 found pid i
	say "controlplane: asking setup-envtest for Kubernetes ${k8s#v} (without access to the internet this fails, and a build follows)"
	GOFLAGS= go run "sigs.k8s.io/controller-runtime/tools/setup-envtest@$version" \
		use "${k8s#v}" --bin-dir "$cache/envtest" -p path >"$work/found" 2>"$work/download.log" &
	pid=$!
	for ((i = 0; i < 180; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 1
	done
	kill "$pid" 2>/dev/null || true
	wait "$pid" || { say "controlplane: no download: $(tail -n 1 "$work/download.log")"; return 1; }
	found=$(<"$work/found")
	complete "$found" || return 1
	cp "$found"/* "$work/bin/"
}

# build MODULE PACKAGE NAME [FLAGS...]: it reports progress every 20 seconds, since a build takes
# minutes.
build() {
	local module=$1 package=$2 name=$3 begun=$SECONDS pid
	say "controlplane: building $name $(cd "$here/$module" && go list -m -f '{{.Version}}' "${package%%/cmd/*}")"
	(cd "$here/$module" && GOFLAGS=-buildvcs=false GOWORK=off CGO_ENABLED=0 \
		go build -trimpath -ldflags "-s -w ${4:-}" -o "$work/bin/$name" "$package" >&2) &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		(((SECONDS - begun) % 20)) || say "controlplane: building $name, $((SECONDS - begun)) s so far"
	done
	wait "$pid"
	say "controlplane: built $name in $((SECONDS - begun)) s"
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	complete "$KUBEBUILDER_ASSETS" || {
		say "controlplane: KUBEBUILDER_ASSETS is set, but the program $missing does not exist; unset it, or set it to a complete directory"
		exit 1
	}
	echo "$KUBEBUILDER_ASSETS"
	exit
fi
if complete "$assets"; then
	echo "$assets"
	exit
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/.making.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
if ! download; then
	say "controlplane: building from Go modules; the first time takes about five minutes on two cores, later clones use $cache"
	stamp="-X k8s.io/component-base/version"
	minor=${k8s#v1.}
	stamp="$stamp.gitVersion=$k8s $stamp.gitMajor=1 $stamp.gitMinor=${minor%%.*}"
	build etcd go.etcd.io/etcd/server/v3 etcd
	build kubernetes k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$stamp"
	build kubernetes k8s.io/kubernetes/cmd/kubectl kubectl "$stamp"
fi
# A rename is atomic. A run that loses a race against another uses the directory of the other.
complete "$assets" || mv "$work/bin" "$assets"
complete "$assets"
echo "$assets"
