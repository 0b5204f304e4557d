# The commands of this repository. `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test lint bench bench-kafka scale chaos chaos-dispatch simulate fuzz coverage mutants images pictures test-upgrade check-shipping check-http check-clients check-transport check-cluster up down

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

run: ## run everything in one process, with a live view
	cargo run --release

test: ## run every test, on real Kafka, PostgreSQL and Jaeger
	infra/dev/services run --jaeger -- cargo test --workspace

test-upgrade: ## roll from another version to this one and back under load (FROM=TAG, the newest where none is named)
	infra/check/upgrade $(FROM)

lint: ## check format, lints, structure and dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask check
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check bans licenses sources; else echo "cargo-deny is not installed: dependencies were not checked"; fi
	@if command -v cargo-machete >/dev/null; then cargo machete; else echo "cargo-machete is not installed: dependencies that nobody uses were not looked for"; fi

bench: ## print what accepting and delivering events costs, beside bare handlers (PARTS="accept attack backlog traces recovery deliver", or some of them)
	cargo build --release --workspace --bins
	cargo build --release --package local --example bench
	target/release/examples/bench $(PARTS)

bench-kafka: ## print what delivering events costs on Kafka and PostgreSQL, beside a bare loop
	cargo build --release --workspace --bins
	cargo build --release --package local --example bench
	infra/dev/services run -- target/release/examples/bench kafka

scale: ## print what dispatchers deliver under several limits, and what a pod uses at 500 events/s (as root, for control groups)
	cargo build --release --workspace --bins
	cargo build --release --package local --example scale
	infra/dev/services run -- target/release/examples/scale

chaos: ## break brokers, database, disk and processes under load, and check that every 202 was kept (CHAOS="--help" tells more)
	cargo build --release --workspace
	TEST_KAFKA_URL=none infra/dev/services run -- target/release/chaos $(CHAOS)

chaos-dispatch: ## kill, freeze and scale dispatchers for 5 minutes, and judge what arrived
	cargo build --release --workspace --bins
	cargo build --release --package local --example chaos_dispatch
	infra/dev/services run -- target/release/examples/chaos_dispatch $(if $(SEED),--seed $(SEED)) $(if $(SPAN),--seconds $(SPAN))

simulate: ## let simulated dispatchers stall, die and wake, by 50,000 seeds (SEEDS=… for another number)
	OWN_SEEDS=$(or $(SEEDS),50000) cargo test --workspace --lib simulation -- --nocapture

fuzz: ## feed the readers of foreign input what a fuzzer makes up, 60 s each (SECONDS=… and TARGETS="event log" for others)
	infra/check/fuzz $(SECONDS) $(TARGETS)

coverage: ## print how much of the code the tests run (PACKAGES="events-proxy-core" for some packages, without services)
	infra/check/coverage $(PACKAGES)

mutants: ## break the code in one small place at a time, and want a test to fail each time (AREAS="core lease" for some of the areas)
	infra/check/mutants $(AREAS)

up: ## keep Kafka and PostgreSQL running for development
	infra/dev/services up

down: ## stop them
	infra/dev/services down

images: ## build the images, with an engine or without one
	infra/images/build

pictures: ## take the pictures of the console in the README anew
	cargo build --workspace
	cargo test --workspace --test it -- --ignored pictures_of_the_readme

check-shipping: ## check chart, alerts, Terraform, workflows and scripts
	infra/check/run

check-transport: ## let an event through a Kafka and a PostgreSQL that want TLS and a password, and false keys through neither
	infra/check/transport

check-http: ## hold both OpenAPI documents against a running process, for a minute each
	cargo build --workspace --bins
	infra/check/http

check-clients: ## run the clients of docs/api.md against a process behind a relay that spoils tokens and loses answers
	cargo build --workspace --bins
	infra/check/clients

check-cluster: ## install the chart on a real control plane with played nodes
	infra/check/cluster
