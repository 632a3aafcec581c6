# What a person, and CI, types. STATICCHECK is pinned: a linter that changes overnight is a build that does.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 30s
SEED        ?= 1

.PHONY: help build test test-browser race bench bench-peers soak fuzz check

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## build ./bin/dailies
	go build -trimpath -o bin/dailies .

test: ## run every test, with the race detector, the real S3 server and the real binary
	go test -race -parallel 8 -timeout 20m ./...

test-browser: ## try the gallery in a real Chromium (apt-get install chromium); SCREENS=DIR saves pictures
	go test -tags browser -timeout 5m -run '^TestGallery' ./internal/e2e $(if $(SCREENS),-screens $(abspath $(SCREENS)))

race: test ## the same: tests always run with the race detector

bench: ## print every benchmark
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

soak: ## attack for five minutes: kills, faults, lost answers; SEED=1 chooses
	go test -count=1 -timeout 15m -run '^(TestKills|TestSweep)' -v ./internal/e2e -soak -seed $(SEED)

bench-peers: ## one GiB beside curl, aws, aria2c and rclone, as far as they are installed
	@for t in curl aws aria2c rclone; do command -v $$t >/dev/null || echo "$$t is missing: apt-get install curl awscli aria2 rclone"; done
	DAILIES_PEERS=1 go test -run '^$$' -bench Peers -benchtime 2x -timeout 30m ./internal/e2e

fuzz: ## fuzz every target for FUZZTIME (30s) each
	@for p in $$(go list ./...); do \
		for t in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$t"; go test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

check: ## vet, format and lint
	go vet ./...
	go vet -tags browser ./internal/e2e
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go run $(STATICCHECK) ./...
