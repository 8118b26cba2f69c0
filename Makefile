# Cresset: `make demo` shows the main job, `make test` runs every test. Both set the machine up first (Debian 12).
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(HOME)/.cache/cresset/target
export PATH := /usr/lib/ccache:$(PATH)
export CRESSET_BIN := $(CARGO_TARGET_DIR)/release

.DEFAULT_GOAL := help
.PHONY: help setup build softtoken demo test lint docs deny bench soak oracle clean-demo

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## system packages and the Rust version check
	@./.ci/setup

# With tests and benches: one feature set for demo, test and CI, so that nothing is compiled twice.
build: setup ## all programs
	cargo build --release --all-targets

softtoken: setup ## the PKCS#11 software token for demonstrations and tests
	@testnet/softtoken/build.sh >/dev/null

demo: build softtoken ## three national hubs share an event, crash, recover and are audited
	@CRESSET_SOFTTOKEN=$$(testnet/softtoken/build.sh) $(CRESSET_BIN)/cresset-testnet scenario first-light

test: build softtoken ## every test of the default members
	@CRESSET_SOFTTOKEN=$$(testnet/softtoken/build.sh) ./.ci/test

oracle: softtoken ## tests against OpenSSL 3.6 (links OpenSSL, built apart)
	cargo test --release -p cresset-oracle

lint: setup ## formatting and clippy
	cargo fmt --all --check
	cargo clippy --release --all-targets -- -D warnings

docs: setup ## API documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps

deny: setup ## bans, licences, sources, advisories
	@./.ci/deny

bench: build softtoken ## benchmarks; ratios against limits measured in the same run
	@CRESSET_SOFTTOKEN=$$(testnet/softtoken/build.sh) ./.ci/bench
