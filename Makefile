# OneID. `make help` lists the targets.
GO      ?= go
TOOL     = $(GO) tool -modfile=internal/tools/go.mod
BIN      = bin/oneid
DIR     ?= oneid-data
PEOPLE  ?= 10000
SEED    ?= 1
# Begun first: they wait more than they compute, and the others compute meanwhile.
LONGEST  = ./cmd/oneid ./pipelines/squash ./pipelines/resolve ./pipelines/rebuild

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/oneid
	$(GO) build -trimpath -o $(BIN) ./cmd/oneid

.PHONY: demo
demo: build ## set up and run the main job on invented people (PEOPLE=10000 SEED=1 DIR=oneid-data)
	$(BIN) demo --dir $(DIR) --people $(PEOPLE) --seed $(SEED)

.PHONY: test
test: build ## set up and pass the tests
	$(BIN) engine install
	$(GO) vet ./...
	$(GO) test -vet=off -ldflags=-w -p 3 -parallel 4 -timeout 30m $(LONGEST) ./...

.PHONY: test-times
test-times: ## promised times of restarts and take-overs, and 50 kills; alone on the machine
	ONEID_TEST_TIMES=1 ONEID_TEST_KILLS=50 $(GO) test -count=1 -p 1 -parallel 1 -timeout 40m -run '^(TestKilledAnywhere|TestUpKilled|TestResolversOfTwoMachines|TestTakeover|TestFrozenInsideAnInsert|TestPlatformsTellOfTheirMembers|TestLockIsLostWithTheBrokers)$$' ./cmd/oneid ./internal/kafka ./pipelines/membership ./pipelines/resolve

.PHONY: test-faults
test-faults: ## nothing is lost under faults: 20 seeds of 5,000 orders a platform
	ONEID_TEST_FAULTS=20 $(GO) test -count=1 -parallel 8 -timeout 60m -run '^TestNothingIsLostUnderFaults$$' ./pipelines/pull

.PHONY: test-sdk
test-sdk: build ## the platforms' public SDKs read from the simulators (Node with npm, Python with pip)
	connectors/simulator/sdk/run $(BIN)

.PHONY: test-kafka
test-kafka: build ## what talks to Kafka, against a real Apache Kafka (Java 17; Maven, once)
	$(BIN) engine install
	deploy/kafka/kafka with sh -c ' \
		$(GO) test -count=1 -p 1 -timeout 20m ./internal/kafka ./internal/pubsub ./pipelines/pull ./pipelines/resolve ./pipelines/deliver && \
		$(GO) test -count=1 -timeout 10m ./cmd/oneid -run ConfiguredKafka && \
		ONEID_TEST_KILLS=20 $(GO) test -count=1 -timeout 20m ./cmd/oneid -run "^TestKilledAnywhere$$"'

.PHONY: test-long
test-long: ## the longest tests: more seeds, 500 kills, two minutes of rebalances, a file of 2 GB, an hour of load, fuzzing
	$(GO) test -count=1 -timeout 120m ./identity/engine -seeds 5000
	$(GO) test -count=1 -timeout 60m -run '^TestUndoneIsNeverMade$$' ./pipelines/squash -undone 40
	ONEID_TEST_KILLS=500 $(GO) test -count=1 -timeout 180m -run '^TestKilledAnywhere$$' ./cmd/oneid
	ONEID_TEST_LONG=1 $(GO) test -count=1 -timeout 60m -run '^(TestRebalanceStorm|TestFrozenInsideAnInsert)$$' ./pipelines/resolve
	ONEID_TEST_LARGE=1 $(GO) test -count=1 -timeout 60m -v -run '^TestExportMemory$$' ./connectors/file
	deploy/kafka/kafka with sh -c 'ONEID_TEST_KAFKA_RESTART="$$ONEID_TEST_KAFKA_SCRIPT restart" $(GO) test -count=1 -timeout 10m ./internal/pubsub -run "^TestWatermillSuite$$/^TestReconnect$$"'
	ONEID_TEST_SOAK=1h $(GO) test -count=1 -timeout 100m -v -run '^TestSoak$$' ./cmd/oneid
	.ci/fuzz 60s

.PHONY: bench
bench: ## the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: generate
generate: ## generated code and schemas anew
	$(TOOL) buf generate
	$(GO) test ./schemas/clickhouse ./internal/api -run Golden -update
	$(GO) test ./cmd/oneid -run SettingsSchema -update

.PHONY: lint
lint: ## formatting, linters, Protobuf rules
	@test -z "$$(gofmt -l cmd connectors identity internal pipelines schemas)" || { gofmt -l cmd connectors identity internal pipelines schemas; echo 'not formatted: run gofmt -w'; exit 1; }
	$(TOOL) golangci-lint run ./...
	$(TOOL) buf lint

.PHONY: clean
clean: ## remove what was built (not the data folder)
	rm -rf bin
