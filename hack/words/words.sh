#!/usr/bin/env bash
# Checks the language of comments and Markdown by the rules in .vale, and their width. Long
# sentences are warnings and do not fail. Vale parses Go with a library in C: where there is no C
# compiler, it does not run, which fails with APPTOKEN_TEST_ALL and is reported otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
find . \( -path ./.git -o -path ./bin \) -prune -o -type f ! -name 'zz_generated.*' \
	! -path './config/crd/bases/*' \( -name '*.md' -o -name '*.go' -o -name '*.sh' -o -name '*.awk' \
	-o -name '*.yml' -o -name '*.yaml' -o -name Makefile -o -name Dockerfile -o -path ./.ci/run \) -print0 |
	LC_ALL=C xargs -0 awk -f hack/words/columns.awk || status=1

compiles() { # a compiler alone does not suffice: it needs the headers of the C library
	local compiler
	compiler=$(CGO_ENABLED=1 go env CC)
	$compiler -fsyntax-only -include stdlib.h -x c /dev/null 2>/dev/null
}

if compiles; then
	CGO_ENABLED=1 go tool -modfile=hack/tools/vale/go.mod vale --output=line --glob='!bin/**' . || status=1
elif [ -n "${APPTOKEN_TEST_ALL:-}" ]; then
	echo "words: vale needs a C compiler, and there is none: apt-get install gcc libc6-dev" >&2
	status=1
else
	echo "words: skips vale, which needs a C compiler; apt-get install gcc libc6-dev"
fi
[ "$status" -eq 0 ] || echo "words: the rules are in .vale/styles/Apptoken and hack/words/columns.awk" >&2
exit "$status"
