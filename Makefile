# `make help` lists the targets. Everything that is built lands in bin/ and .cache/.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
ARGS    ?=
TIME    ?= 30s
COUNT   ?= 10
BASE    ?= main

# The binary is static; only the race detector needs a C compiler.
export CGO_ENABLED := 0
# The same flags everywhere, so that builds, tests, vet and lint share what they compile.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -trimpath -buildvcs=false)
# go generate finds the pinned tools here, before any of the same name elsewhere.
TOOLS       := $(CURDIR)/.cache/bin
export PATH := $(TOOLS):$(PATH)
export BPF2GO_CC := clang-19

CLANG_FORMAT := clang-format-19
BPF_SOURCES   = $(shell git ls-files --cached --others --exclude-standard 'bpf/*.c' 'bpf/*.h' 'test/*.c' 'test/*.h')
# Tests that load BPF programs run one package after the other: they share the kernel.
# They run anew each time: go test does not see that the daemon they start has changed.
KERNEL_TESTS  = ./test/...
PLAIN_TESTS   = $(shell go list ./... | grep -v '/windhover/test/')
# A package has golden files if a test of it declares the flag.
GOLDEN_TESTS  = $(shell grep -rl --include='*_test.go' 'flag\.Bool."update"' . --exclude-dir=.cache | xargs -r -n1 dirname | sort -u)
# Tests whose peers are too heavy for the root module are modules of their own.
MODULES      := test/stack test/deploy
PLATFORMS    := linux/amd64 linux/arm64 darwin/arm64 windows/amd64
# Everything git would show as changed or new, as one number.
STATE         = { git diff HEAD && git ls-files -z --others --exclude-standard | xargs -0r sha256sum; } | sha256sum
SUDO          = $(if $(filter 0,$(shell id -u)),,sudo)

##@ Build and run

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/windhover
	go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/windhover ./cmd/windhover

.PHONY: run
run: build ## watch this host: build, then windhover run (ARGS='-r my.yaml')
	$(SUDO) bin/windhover run $(ARGS)

.PHONY: collector
collector: $(TOOLS)/builder ## build bin/windhover-collector, an OpenTelemetry Collector with Windhover's components
	cd deploy/ocb && builder --config manifest.yaml --skip-compilation
	cd .cache/collector && go build -ldflags '-s -w' -o $(CURDIR)/bin/windhover-collector .

.PHONY: collector-contrib
collector-contrib: $(TOOLS)/builder ## build bin/windhover-collector-contrib, what deploy/collector/ takes; minutes the first time
	cd deploy/ocb && builder --config manifest-contrib.yaml --skip-compilation --skip-strict-versioning
	cd .cache/collector-contrib && go build -ldflags '-s -w' -o $(CURDIR)/bin/windhover-collector-contrib .

.PHONY: clean
clean: ## remove everything that make built
	rm -rf bin .cache

##@ Change

.PHONY: generate
generate: $(TOOLS)/bpf2go $(TOOLS)/mdatagen ## write generated code: C header, BPF objects, component metadata, reference pages
	go generate ./internal/... ./bpf/... ./...

.PHONY: golden
golden: ## write what tests compare with: every test that has the flag, with -update
	$(if $(GOLDEN_TESTS),go test $(GOLDEN_TESTS) -update)

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## format Go (gofumpt, goimports) and C
	golangci-lint fmt
	$(if $(BPF_SOURCES),$(CLANG_FORMAT) -i $(BPF_SOURCES))

##@ Check

.PHONY: fmt-check
fmt-check: $(TOOLS)/golangci-lint ## fail where fmt would change something
	golangci-lint fmt --diff
	$(if $(BPF_SOURCES),$(CLANG_FORMAT) --dry-run -Werror $(BPF_SOURCES))
	shellcheck .ci/run deploy/packages/*.sh

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## golangci-lint on every module, and go vet on every platform that we build for
	golangci-lint run
	$(foreach m,$(MODULES),(cd $(m) && golangci-lint run) &&) true
	$(foreach p,$(PLATFORMS),GOOS=$(firstword $(subst /, ,$p)) GOARCH=$(notdir $p) go vet -tags collector ./... &&) true

.PHONY: generated-check
generated-check: ## fail where generate, golden or fmt would change something
	@before=$$($(STATE)); $(MAKE) generate golden fmt; after=$$($(STATE)); \
	if [[ $$before != "$$after" ]]; then \
		git status --short; git --no-pager diff --stat; \
		echo 'generated files differ: run make generate golden fmt, review, commit' >&2; exit 1; \
	fi

.PHONY: test
test: ## every test that this machine can run, the kernel's included where it has root and BPF
	go test $(PLAIN_TESTS)
	go test -count=1 -p 1 $(KERNEL_TESTS)

.PHONY: test-race
test-race: export CGO_ENABLED := 1
test-race: ## the same under the race detector
	go test -race $(PLAIN_TESTS)
	go test -count=1 -race -p 1 $(KERNEL_TESTS)

.PHONY: test-kernel
test-kernel: ## system calls against the loaded probe; needs root and BPF
	WINDHOVER_REQUIRE_KERNEL=1 go test -count=1 ./test/kernel/...

.PHONY: test-e2e
test-e2e: ## the binary against a real OTLP receiver; needs root and BPF
	WINDHOVER_REQUIRE_KERNEL=1 go test -count=1 ./test/e2e/...

.PHONY: test-collector
test-collector: collector ## the collector against the live kernel; needs root and BPF
	go test -count=1 -tags collector ./test/collector

.PHONY: stack-tools
stack-tools: $(TOOLS)/prometheus $(TOOLS)/victorialogs ## the programs that test-stack runs, at pinned versions: minutes, once

.PHONY: test-stack
test-stack: export WINDHOVER_REQUIRE_KERNEL := 1
test-stack: stack-tools collector-contrib ## deploy/ in the programs that it is for, a line per claim (ARGS='-run Prometheus'); needs root and BPF
	cd test/stack && go test -json -count=1 -timeout 40m $(ARGS) ./... | go run ./claims

.PHONY: pictures
pictures: export WINDHOVER_PICTURES := $(CURDIR)/docs/images
pictures: stack-tools ## draw the dashboards with what a Windhover under load makes of them, into docs/images; needs root, BPF and chromium
	mkdir -p docs/images
	cd test/stack && go test -count=1 -timeout 15m -run TestDashboardsShowARunningWindhover .

.PHONY: promtool-test
promtool-test: $(TOOLS)/prometheus ## the cases of the Prometheus rules
	cd deploy/prometheus && promtool test rules tests/*.yaml

.PHONY: deploy-tools
deploy-tools: $(TOOLS)/helm $(TOOLS)/kustomize $(TOOLS)/prometheus ## the programs that test-deploy runs, at pinned versions: minutes, once

.PHONY: test-deploy
test-deploy: deploy-tools ## the chart and the kustomizations: rendered, decoded, their configuration run (ARGS='-run Chart')
	cd test/deploy && go test -count=1 $(ARGS) .

.PHONY: golden-deploy
golden-deploy: deploy-tools ## write what test-deploy compares with
	cd test/deploy && go test -count=1 -run 'Chart|Kustomiz' . -update

.PHONY: fuzz
fuzz: ## every fuzz test, one after the other, TIME each
	@grep -rHo --include='*_test.go' --exclude-dir=.cache '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r f d; do \
		go test -run '^$$' -fuzz "^$${d#func }$$" -fuzztime $(TIME) "$$(dirname "$$f")"; done

.PHONY: bench
bench: ## every benchmark, COUNT times, into .cache/bench/<commit>.txt, then bench-live
	@mkdir -p .cache/bench
	go test -run '^$$' -bench . -benchmem -count $(COUNT) -p 1 ./... | tee .cache/bench/$(VERSION).txt
	@$(MAKE) bench-live

.PHONY: bench-live
bench-live: build ## what Windhover costs this machine under load (ARGS='-only open'); needs root and BPF
	go build -ldflags '-s -w' -o bin/ ./test/bench/loadgen ./test/bench/live
	$(SUDO) bin/live $(ARGS)

.PHONY: bench-audit
bench-audit: ## a minute of audit events over HTTPS, 20,000 a second: a line per claim
	cd test/stack && WINDHOVER_LOAD_TIME=60s go test -json -count=1 -run TestLoadOfAuditEvents . | go run ./claims

.PHONY: bench-outage
bench-outage: ## a minute without the sink under 1,000 matches a second: a line per claim
	cd test/stack && WINDHOVER_LOAD_TIME=60s go test -json -count=1 -run TestLoadWithAStoppedSink . | go run ./claims

.PHONY: bench-compare
bench-compare: $(TOOLS)/benchstat ## benchmarks of the working tree against those of BASE
	@rm -rf .cache/base && mkdir -p .cache/base && git archive $(BASE) | tar -x -C .cache/base
	cd .cache/base && go test -run '^$$' -bench . -benchmem -count $(COUNT) -p 1 ./... > ../base.txt
	go test -run '^$$' -bench . -benchmem -count $(COUNT) -p 1 ./... > .cache/tree.txt
	benchstat .cache/base.txt .cache/tree.txt

.PHONY: check
check: ## exactly what CI runs
	@$(MAKE) fmt-check
	@$(MAKE) lint
	@$(MAKE) generated-check
	@$(MAKE) test
	@$(MAKE) test-collector
	@$(MAKE) test-packages
	@$(MAKE) test-deploy
	@$(MAKE) test-stack ARGS=-short

include deploy/release.mk

# Every tool is a module of its own, which pins it and what it is made of.
$(TOOLS)/%: tools/%/go.mod tools/%/go.sum
	cd tools/$* && go build -o $(TOOLS)/ tool
	@touch $@
