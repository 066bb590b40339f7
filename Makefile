# make help lists the targets. Tools are pinned in hack/tools; Go fetches and builds them at first
# use.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOL           := go tool -modfile=hack/tools/go.mod
CONTROLLER_GEN := $(TOOL) controller-gen
API_REFERENCE  := $(TOOL) crd-ref-docs --log-level=WARN --source-path=api/v1alpha1 --renderer=markdown \
  --config=hack/reference/config.yaml --templates-dir=hack/reference
LINT           := $(TOOL) golangci-lint-kube-api-linter
FUZZTIME       ?= 20s
TESTFLAGS      ?=

# A recipe that begins with $(ASSETS) finds kube-apiserver, etcd and kubectl in
# $$KUBEBUILDER_ASSETS, or fails at once.
ASSETS = assets=$$(hack/controlplane/controlplane.sh | tail -n 1); export KUBEBUILDER_ASSETS="$$assets";

##@ Try it

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "; print "make <target>"} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build bin/demo ## Watch a token's life on a throw-away control plane; ends by itself
	@$(ASSETS) env -u KUBECONFIG bin/demo --once --manager bin/manager

.PHONY: run
ifeq ($(origin KUBECONFIG),command line)
run: build
	KUBECONFIG="$(patsubst ~/%,$$HOME/%,$(KUBECONFIG))" bin/manager $(ARGS)
else
run: build bin/demo ## The same, and stay; with KUBECONFIG=file, run the operator against that cluster (ARGS="…" for flags)
	@$(ASSETS) env -u KUBECONFIG bin/demo --manager bin/manager
endif

##@ Build

.PHONY: build
build: ## Build bin/manager
	@echo "build: bin/manager; the first time this takes some minutes"
	@go build -trimpath -o bin/manager .

.PHONY: bin/demo
bin/demo:
	@echo "build: bin/demo"
	@go build -trimpath -o $@ ./hack/demo

.PHONY: generate
generate: ## Write deepcopy functions, CRDs and docs/api.md from api/
	$(CONTROLLER_GEN) object crd paths=./api/... output:crd:dir=config/crd/bases
	$(API_REFERENCE) --output-path=docs/api.md

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -w .

.PHONY: controlplane
controlplane: ## Get kube-apiserver, etcd and kubectl; the last line printed is their folder
	@hack/controlplane/controlplane.sh

.PHONY: clean
clean: ## Delete what was built here
	rm -rf bin

##@ Check

.PHONY: check
check: check-generated check-format words vet lint ## What CI checks before the tests; changes nothing
	@echo "check: all good"

# Generates beside the tree and compares, so that it neither needs git nor minds work in progress.
.PHONY: check-generated
check-generated:
	@new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; \
	$(CONTROLLER_GEN) object crd paths=./api/... output:object:dir="$$new" output:crd:dir="$$new/crd"; \
	$(API_REFERENCE) --output-path="$$new/api.md"; \
	diff -u docs/api.md "$$new/api.md" && \
	diff -u api/v1alpha1/zz_generated.deepcopy.go "$$new/zz_generated.deepcopy.go" && \
	diff -ru config/crd/bases "$$new/crd" || \
	  { echo "check: the generated files do not match api/; run 'make generate' and commit what changes" >&2; exit 1; }

.PHONY: check-format
check-format:
	@files=$$(gofmt -l .); [ -z "$$files" ] || \
	  { printf '%s\n' "$$files" "check: these files are not formatted; run 'make fmt' and commit what changes" >&2; exit 1; }
	@go mod tidy -diff || { echo "check: go.mod is not tidy; run 'go mod tidy' and commit what changes" >&2; exit 1; }

.PHONY: words
words: ## Check the language and the width of comments and pages; builds vale in a minute the first time
	@hack/words/words.sh

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: lint
lint: ## Run the linters; building them takes two minutes the first time
	$(LINT) run ./...
	$(LINT) run --config .golangci-api.yml ./api/...

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities; says so where their database cannot be reached
	@hack/security/vulncheck.sh

.PHONY: pin-images
pin-images: ## Pin the base images of the Dockerfile by digest; needs their registries
	@hack/security/pin-images.sh

.PHONY: test
test: ## Run every test, against a real kube-apiserver and etcd
	@for need in nginx:nginx-light,libnginx-mod-http-headers-more-filter caddy:caddy haproxy:haproxy chromium:chromium curl:curl jq:jq javac:default-jdk-headless node:nodejs npm:npm; do \
	  command -v $${need%%:*} >/dev/null || echo "test: skips what $${need%%:*} is needed for; apt-get install $$(tr , ' ' <<<$${need##*:})"; \
	done
	@/usr/bin/python3 -c 'import authlib, requests, requests_oauthlib' 2>/dev/null || echo "test: skips what OAuth libraries are needed for; apt-get install python3-authlib python3-requests python3-requests-oauthlib"
	@/usr/bin/python3 -c 'import zeep' 2>/dev/null && [ -e /usr/share/java/jaxws-ri-runtime.jar ] || echo "test: skips what SOAP clients are needed for; apt-get install python3-zeep default-jdk-headless libjaxws-java"
	@$(ASSETS) go test -timeout 20m $(TESTFLAGS) ./...

.PHONY: test-race
test-race: ## Run every test under the race detector; needs a C compiler
	@$(ASSETS) CGO_ENABLED=1 go test -race -timeout 40m $(TESTFLAGS) ./...

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME (20s)
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' api controllers internal | while IFS=: read -r file func; do \
	  echo "fuzz: $${func#func } in $$file"; \
	  go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) </dev/null; \
	done

.PHONY: bench
bench: build ## Measure the operator against a real control plane
	@echo "build: bin/bench"
	@go build -trimpath -buildvcs=auto -o bin/bench ./test/loadtest
	@$(ASSETS) bin/bench $(ARGS)
