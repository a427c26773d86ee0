# Two commands do everything: `make run` shows the main job, `make test` passes the tests.
# A fresh machine needs Go, make and Debian; what the tests need beside it is installed by scripts/test-deps.sh.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)

.PHONY: build run test lint bench fuzz clean

build: ## the static binary, ./waybill
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o waybill ./cmd/waybill

run: build ## the embedded demo: files are dropped, delivered, shown; Ctrl-C ends it
	./waybill demo

test: deps lint ## everything, with the race detector
	$(GO) test -race -timeout 20m ./...
	$(GO) test -run '(Flat|Little)Memory|LeadsToNoOthers' ./formats ./formats/unpack ./cmd/waybill # whole doses, for which the race detector is too slow

deps:
	@sh scripts/test-deps.sh

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'not formatted: run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench: build ## figures beside their floors, see docs/performance.md
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./bench

FUZZ     ?= ./...
FUZZTIME ?= 20s
fuzz: ## each fuzz target for FUZZTIME; FUZZ=./formats/... for those of some packages
	@sh scripts/fuzz.sh $(FUZZTIME) $(FUZZ)

clean:
	rm -rf waybill waybill-data
