# make test    installs what the tests need and runs everything that fits in half an hour
# make soak    what takes longer: three-minute outages, 100,000 connections, half an hour of coming and going, fuzzing
# make quick   what needs neither root nor Socket.IO clients
# make image   builds the container image with buildah and tries the binary in it; base images must be there
# make peers   installs the servers that `cargo bench --bench fanout` compares with
# make bench-check     counts the instructions of the hot paths and compares: fails beyond 5 %; make bench-baseline writes them down
# make fuzz    ten minutes of fuzzing; FUZZ_SECONDS=60 for less
#
# One dev build serves everything: unit tests, integration tests, the browser, interop, cluster and outages run the same binary.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

CARGO ?= cargo
# Where Debian and Ubuntu put the programs that start a PostgreSQL of one's own.
export PATH := $(PATH):/usr/lib/postgresql/17/bin:/usr/lib/postgresql/16/bin:/usr/lib/postgresql/15/bin
# Nothing here may hang for ever: a test that waits has its own deadline, this is the one behind it.
LIMIT := timeout --foreground --kill-after=30s
FUZZ_SECONDS ?= 600
SOAK_MINUTES ?= 30

.PHONY: help test quick soak fuzz deny prepare clients peers bench-check bench-baseline web format lint docs config licences unit browser interop cluster outage image

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

test: prepare clients web format lint docs licences config unit browser interop cluster outage
	@echo "make test: everything passed in $$(scripts/elapsed stop)"

quick: format lint docs config unit

# ---- what is needed -------------------------------------------------------------------------------------------------

prepare:
	@scripts/elapsed start
	scripts/prepare

JS := tests/interop/js
PYTHON := tests/interop/python

WEB := web
BROWSER := tests/browser

clients: $(JS)/node_modules/.installed $(PYTHON)/.venv/.installed

%/node_modules/.installed: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(PYTHON)/.venv/.installed: $(wildcard $(PYTHON)/*.txt)
	scripts/python-clients $(PYTHON)
	touch $@

# Servers of others that do our job, for `cargo bench --bench fanout`.
PEERS := benches/peers

peers: $(PEERS)/node/node_modules/.installed $(PEERS)/python/.venv/.installed
	cd $(PEERS)/bare && $(CARGO) build --release --locked

$(PEERS)/python/.venv/.installed: $(wildcard $(PEERS)/python/*.txt)
	scripts/python-clients $(PEERS)/python
	touch $@

# ---- checks ---------------------------------------------------------------------------------------------------------

format:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --locked --all-targets --quiet -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --quiet

# Licences and sources by the rules in deny.toml; `make deny` asks cargo-deny itself, which also knows bans and wildcards.
licences:
	scripts/licences

deny:
	$(CARGO) deny --locked check bans licenses sources

config:
	$(CARGO) test --locked --quiet --no-run
	scripts/check-configs target/debug/wardbell

# The page: what the binary is going to show. Before anything that cargo builds, which embeds it.
web: $(WEB)/node_modules/.installed
	cd $(WEB) && npm run --silent typecheck
	cd $(WEB) && npm run --silent lint
	cd $(WEB) && $(LIMIT) 5m npm test --silent
	cd $(WEB) && npm run --silent build

# ---- tests ----------------------------------------------------------------------------------------------------------

unit:
	$(LIMIT) 20m $(CARGO) test --locked

# Chromium on the page, against the real binary; WARDBELL_BINARY=target/release/wardbell for another one. Pictures: target/screenshots.
WARDBELL_BINARY ?= target/debug/wardbell

browser: $(BROWSER)/node_modules/.installed
	cd $(BROWSER) && npm run --silent typecheck
	cd $(BROWSER) && npm run --silent lint
	cd $(BROWSER) && WARDBELL_BINARY="$(abspath $(WARDBELL_BINARY))" $(LIMIT) 8m npm test --silent

# The clients that hospitals run, against the real binary.
interop: clients
	$(LIMIT) 10m $(CARGO) test --locked --test it -- --ignored --test-threads=4 interop::

# Three nodes behind nginx, hundreds of clients, a node that is killed.
cluster: clients
	$(LIMIT) 10m $(CARGO) test --locked --test it -- --ignored --nocapture --test-threads=1 cluster::

# Cut networks, killed servers, full disks. Needs root: network namespaces and mounts.
outage: clients
	rm -f target/outage.md
	$(LIMIT) 15m $(CARGO) test --locked --test it -- --ignored --nocapture --test-threads=4 outage::
	@scripts/outage-table

soak: prepare clients
	rm -f target/outage.md
	WARDBELL_SOAK=1 $(LIMIT) 60m $(CARGO) test --locked --test it -- --ignored --nocapture --test-threads=2 outage::
	@scripts/outage-table
	$(CARGO) bench --locked --no-run --bench fanout
	$(LIMIT) $$(( $(SOAK_MINUTES) + 15 ))m $(CARGO) bench --locked --bench fanout -- soak --minutes $(SOAK_MINUTES)
	$(MAKE) fuzz

# ---- speed ----------------------------------------------------------------------------------------------------------

# Needs a release build, and then half a minute. Not in `make test` for the build's sake.
bench-check:
	@command -v valgrind >/dev/null || { echo "bench-check needs valgrind" >&2; exit 1; }
	$(CARGO) bench --locked --bench instructions

bench-baseline:
	@command -v valgrind >/dev/null || { echo "bench-baseline needs valgrind" >&2; exit 1; }
	$(CARGO) bench --locked --bench instructions -- --record

image:
	scripts/image

fuzz:
	scripts/fuzz $(FUZZ_SECONDS)
