# make demo    installs what is missing, builds, runs the demo, leaves a report in out/
# make test    installs what the tests need and runs them all
# The rest is below.

GO   ?= go
TAGS  = opencv
STATICCHECK = v0.8.2
NFPM  = v2.45.2
PGO  ?= cmd/bungee/default.pgo
BIN   = bin
OUT  ?= out

.DEFAULT_GOAL := build
.PHONY: build deb image yardstick demo picture demo20 test asan check lint pure generated generate reference site paper000 paper001 bench pgo setup clean

setup:
	@scripts/setup.sh demo

# wasmtime's static library is 68 MB. With these flags the linker leaves out what
# is not called, and bungee is half as large. The profile is that of "make pgo".
BUILD = CGO_LDFLAGS="-O2 -g -Wl,--gc-sections" $(GO) build -pgo=cmd/bungee/default.pgo -tags $(TAGS) -o $(BIN)/

build: setup
	$(BUILD) ./cmd/bungee ./cmd/yolo-demo ./lab/bungee-lab

# What an operator installs, see docs/operate.md. Both are without OpenCV, so that they need nothing
# else; networks run on ONNX Runtime where its library is, which a static program cannot load.
# DEB_VERSION begins with a digit.
DEB_VERSION ?= $(shell git log -1 --format=0~git%cd.%h --date=format:%Y%m%d --abbrev=12)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)

deb: export STAGE = $(BIN)/deb
deb: export DEB_ARCH = $(shell $(GO) env GOARCH)
deb: export DEB_VERSION := $(DEB_VERSION)
deb:
	rm -rf $(STAGE) && mkdir -p $(STAGE)/man
	CGO_LDFLAGS="-O2 -g -Wl,--gc-sections" $(GO) build -pgo=$(PGO) -trimpath -ldflags="-s -w" -o $(STAGE)/bungee ./cmd/bungee
	$(STAGE)/bungee man $(STAGE)/man && gzip -9n $(STAGE)/man/*.1
	for shell in bash zsh fish; do $(STAGE)/bungee completion $$shell >$(STAGE)/bungee.$$shell || exit 1; done
	$(GO) run github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM) package --config packaging/nfpm.yaml --packager deb --target $(BIN)/

# An OCI image layout in a tar file: no engine is needed to write it.
image:
	mkdir -p $(BIN)/image
	CGO_LDFLAGS="-O2 -g -Wl,--gc-sections" $(GO) build -pgo=$(PGO) -trimpath -tags netgo,osusergo \
		-ldflags='-s -w -linkmode external -extldflags "-static"' -o $(BIN)/image/bungee ./cmd/bungee
	$(GO) run ./packaging/image -program $(BIN)/image/bungee -o $(BIN)/bungee-image.tar

# What benchmarks compare with: gRPC, a stream over TCP and TLS, Extism. A module of its
# own, so that a user of ours has none of them among his dependencies. And bungee-lab
# without OpenCV, whose start is measured.
yardstick:
	cd lab/yardstick && $(GO) build -o ../../$(BIN)/ .
	CGO_LDFLAGS="-O2 -g -Wl,--gc-sections" $(GO) build -o $(BIN)/bungee-lab-bare ./lab/bungee-lab

# The run of the README: a UE with a quarter of a core, flat out. It says how long packages and the build took, for who
# waits for the first picture.
demo:
	@begin=$$(date +%s) && scripts/setup.sh demo && there=$$(date +%s) && \
		echo "demo: building, which takes some minutes the first time" && $(BUILD) ./cmd/bungee ./cmd/yolo-demo && \
		echo "demo: $$((there - begin)) s for packages, $$(($$(date +%s) - there)) s for the build"
	$(BIN)/yolo-demo -ue-cpu 0.25 -frames 400 -out $(OUT)

# README's picture, of a run on this machine, which should do nothing else.
picture: demo
	cp $(OUT)/figure3.svg docs/demo.svg

# The same at an offered rate, where CPU shares can be compared.
demo20: build
	$(BIN)/yolo-demo -ue-cpu 0.25 -frames 600 -fps 20 -out $(OUT)/fps20

# Paper 001's comparison: three UEs, native and Wasm hosts.
paper001: build
	$(BIN)/bungee-lab bench paper001 --out $(OUT)/paper001

# Paper 000's experiment: ten UEs, three edge hosts, and who keeps his promise. It goes on where it was stopped.
paper000: build
	$(BIN)/bungee-lab bench admission --out $(OUT)/paper000

# Modules, beside Extism; channels and moves, beside gRPC and TCP: about 20 minutes. See
# "bungee bench -h".
bench: build yardstick
	$(GO) test -tags $(TAGS) -run '^$$' -bench . ./offload/... ./elastic ./handler/... ./executor/...
	@failed=0; for bench in "executor --out $(OUT)" channel "handover --out $(OUT)"; do \
		$(BIN)/bungee-lab bench $$bench || failed=1; done; exit $$failed

# The profile that all programs here are built with, bungee also by a plain "go build": of
# both ends of calls and messages.
pgo: build
	$(BIN)/bungee-lab bench profile --out $(OUT)/pgo
	$(GO) tool pprof -proto -output cmd/bungee/default.pgo $(OUT)/pgo/*.pprof

# The checker of the channels' contract, on this many seeds, as many of an adversary, and
# as many over TCP.
SEEDS ?= 2000
check:
	$(GO) run ./lab/bungee-lab bench check --seeds $(SEEDS)
	$(GO) run ./lab/bungee-lab bench check --seeds $(SEEDS) --adversary
	$(GO) run ./lab/bungee-lab bench check --seeds $(SEEDS) --tcp

# Tests need no optimised build of all that bungee links.
test lint pure: export GOFLAGS += -pgo=off

test:
	@scripts/setup.sh test
	BUNGEE_RACE=1 $(GO) test -tags $(TAGS) -race -shuffle=on -timeout 30m ./...
	$(GO) test -run TestAttacksOnMemory ./handler/host # it measures memory, which the race detector takes, too
	$(GO) test -run 'TestSiege$$' ./lab/internal/bench # each attack must come to act, beside all others
	$(GO) test -shuffle=on ./executor/enginetest/determinism # without the race detector: what would take minutes with it
	cd lab/yardstick && $(GO) test -race -shuffle=on ./...

# The packages with C in them under AddressSanitizer: by hand, as it takes minutes and needs gcc. On the signal stack
# that AddressSanitizer sets, wasmtime's traps end the process. It is the short run: 5,000 hostile calls, not 100,000. Left
# out are modules that compilers need most of their bounded memory for, as AddressSanitizer takes some of it, and
# counts of allocations, to which it adds. ONNX Runtime, which is loaded late, throws exceptions, for which the program
# must have C++'s library from its start, and keeps 152 bytes for the process, which would be told as a leak.
asan: export GOFLAGS += -pgo=off
asan: export CC = gcc
asan:
	ASAN_OPTIONS=use_sigaltstack=0 $(GO) test -asan -short -skip 'Bombs|DoNotAllocate|EngineCached/Stack|EngineCached/GoGuest' -timeout 30m ./executor/wasmtime
	CGO_LDFLAGS='-O2 -g -Wl,--no-as-needed -lstdc++' ASAN_OPTIONS=detect_leaks=0 $(GO) test -asan ./hostfunc/nn/onnx
	$(GO) test -asan -tags opencv ./hostfunc/nn/opencv

# What .ci/run checks besides the tests.
lint:
	@unformatted=$$(git ls-files '*.go' | grep -v /testdata/ | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet -tags $(TAGS) ./...
	cd lab/yardstick && $(GO) vet ./...
	$(GO) mod tidy -diff && cd lab/yardstick && $(GO) mod tidy -diff
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) -tags $(TAGS) ./...

# The UE side builds without cgo, for each system that it is for; everything
# builds without cgo and without OpenCV.
pure:
	CGO_ENABLED=0 $(GO) vet ./...
	for target in linux/amd64 linux/arm64 android/arm64 darwin/arm64 windows/amd64; do \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build ./offload/... ./elastic/... ./handler/ue/... ./hostfunc/nn ./hostfunc/egress ./hostfunc/scratch || exit 1; \
	done

generate:
	$(GO) generate ./...

# Generated files are as the generator makes them, to the byte.
generated:
	git ls-files '*bungee_offload*' | grep -v testdata | xargs rm -f
	$(GO) generate ./...
	@changed=$$(git status --porcelain -- '*bungee_offload*'); \
	if [ -n "$$changed" ]; then echo "generated code is not current; run \"make generate\" and commit:"; echo "$$changed"; exit 1; fi

# The pages of all commands and flags.
reference:
	$(GO) run -pgo=off ./cmd/bungee reference docs/cli.md
	$(GO) run -pgo=off ./lab/bungee-lab reference docs/cli-lab.md

# docs/ as a site in bin/site, for any web server, each link of which is followed. Needs npm.
# "cd docs/.vitepress && npx vitepress dev .." shows it while you write.
site:
	cd docs/.vitepress && npm ci && npx vitepress build ..
	BUNGEE_SITE=$(CURDIR)/$(BIN)/site $(GO) test -pgo=off -count=1 -v -run 'TestSite$$' ./internal/readme

clean:
	rm -rf $(BIN) $(OUT)
