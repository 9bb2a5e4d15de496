# The commands of the project. `make` alone lists them.
#
# Every command builds with one profile (release): demo, tests and benchmarks then share one compiled copy of each
# dependency, and tests run the code that users run. For the same reason every command covers the whole workspace:
# cargo chooses a dependency's features from the packages named on its command line, so `-p tidemill` would compile
# many dependencies a second time with fewer features. `cargo run --example` in the root, without `-p`, does cover it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Build products live outside the checkout, so that a second checkout does not compile the dependencies again.
TIDEMILL_CACHE := $(or $(TIDEMILL_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidemill)
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(TIDEMILL_CACHE)/target)
# Where rustup installs to, for shells that do not know it yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# Passed on to the program: make demo ARGS="-D parallelism.default=4"
ARGS ?=

.PHONY: help setup demo test test-flink chaos survival fuzz bench doc fmt lint deny clean clean-all

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing on this machine (the other commands do it too)
	@scripts/setup lint

demo: ## run examples/flights.sql over a month of real flights; ARGS="-D key=value" goes to it
	@scripts/setup
	@scripts/claim-cache
	@scripts/announce-build
	@cargo run --release --locked --bin tidemill -- run examples/flights.sql -D tidemill.progress=always $(ARGS)

test: ## run all tests, those in the documentation included; ARGS goes to cargo test
	@scripts/setup
	@scripts/claim-cache
	@scripts/announce-build
	@cargo test --release --locked --workspace $(ARGS)

test-flink: ## compare with a real Apache Flink, which is downloaded once (330 MB; needs Java); GOLDEN=FOLDER adds queries
	@scripts/setup
	@scripts/claim-cache
	@scripts/announce-build
	@scripts/test-flink $(ARGS)

chaos: ## kill jobs with kill -9 at random moments, CHAOS_KILLS=50 each; CHAOS_SEED=n repeats a run
	@scripts/setup
	@scripts/claim-cache
	@scripts/announce-build
	@cargo build --release --locked --workspace --examples
	@CHAOS_KILLS=$${CHAOS_KILLS:-50} CHAOS_SEED=$${CHAOS_SEED:-$$RANDOM} \
		cargo test --release --locked --workspace --test it chaos:: -- --nocapture --test-threads=1 $(ARGS)

survival: ## run all golden queries of SQL into failures and restores in all ways, and its operators against models
	@scripts/setup
	@scripts/claim-cache
	@scripts/announce-build
	@PROPTEST_CASES=$${PROPTEST_CASES:-64} cargo test --release --locked --workspace --test survival $(ARGS)
	@SURVIVAL=all cargo test --release --locked --workspace --test it surviv $(ARGS)

fuzz: ## look for inputs that decoders handle wrongly, FUZZ_SECONDS=60 for each target; ARGS names targets
	@scripts/setup
	@scripts/claim-cache
	@scripts/fuzz $(ARGS)

bench: ## run the benchmarks; ARGS goes to cargo bench
	@scripts/setup
	@scripts/claim-cache
	@scripts/announce-build
	@cargo bench --locked --workspace $(ARGS)

doc: ## build the documentation of the API, warnings denied
	@scripts/setup
	@scripts/claim-cache
	@RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps
	@echo "See $(CARGO_TARGET_DIR)/doc"

fmt: ## format the code
	@scripts/setup lint
	@cargo fmt --all

lint: ## check formatting, clippy and the lengths of files
	@scripts/setup lint
	@scripts/check-lengths
	@scripts/claim-cache
	@cargo fmt --all --check
	@cargo clippy --release --locked --workspace --all-targets -- -D warnings

deny: ## check licences, advisories and sources of the dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing. Install it: cargo install cargo-deny --locked" >&2; exit 1; }
	@cargo deny --locked check licenses bans sources
	@cargo deny --locked check advisories # apart, because it fetches the database of advisories

clean: ## remove what was built from this project, keep the compiled dependencies
	@cargo clean --release --locked --workspace

clean-all: ## remove the compiled dependencies too
	@cargo clean
