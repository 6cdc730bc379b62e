# The daily acts. Everything runs on this machine only, in .lab of this checkout and on 127.0.0.1.
# What a target needs and the machine lacks (PostgreSQL, an Asterisk, SIP phones) it installs itself; that needs root.

SHELL := /bin/bash
LAB := vagrant/provision/lab.sh
# One profile for everything, so that there is one build.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# The switch of demo, up and bench: asterisk, freeswitch (an installed one, see SKLIC_FREESWITCH in `lab.sh help`) or simulator.
PBX ?= asterisk
export SEED RUNS KINDS PBX FIRST CONFERENCES
QA := $(TARGET_DIR)/debug/sklic-qa --pbx $(PBX)

.DEFAULT_GOAL := help
.PHONY: faults soak fuzz help build web browser screenshots lab up demo test deb deb-test guide-test bench down fmt lint

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: web ## Build the service and the test runner
	cargo build --locked --bins

web: web/dist/index.html ## Build the console's pages, which the service carries inside (needs Node)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json web/.npmrc
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json web/index.html web/openapi.json web/vite.config.ts web/svelte.config.js $(shell find web/src web/public web/scripts -type f -not -name '*.d.ts')
	cd web && npm run --silent build

browser:
	$(LAB) browser

screenshots: web browser ## Take pictures of every page into web/screenshots (needs Chromium)
	node tests/browser/screenshots.mjs

lab: ## Install the lab: an Asterisk root, a PostgreSQL cluster, prompts (needs root)
	$(LAB) install

demo: lab build ## Hold a whole conference on a real switch with real phones, and show it
	$(LAB) session -- $(QA) demo

up: lab build ## Start the service with its lab and demo phones, and stay until Ctrl-C
	$(LAB) session -- $(QA) up

test: lab browser ## Run every test and print the totals
	$(LAB) session -- tests/run-all.sh

deb: web ## Make the Debian packages from a release build, into target/deb
	cargo build --locked --release --bin sklic
	packaging/deb/build.sh $(TARGET_DIR)/release/sklic $(TARGET_DIR)/deb

deb-test: deb ## Try the release's packages in a clean root
	$(LAB) session -- tests/deb/packages.sh $(TARGET_DIR)/release/sklic --release

fuzz: ## Feed every parser of what the network sends with mutated input, a minute each (SKLIC_FUZZ_SECONDS)
	SKLIC_FUZZ_SECONDS=$${SKLIC_FUZZ_SECONDS:-60} cargo test --locked --test fuzz -- --nocapture

faults: lab build ## Kill, stop and cut everything while conferences run, and audit what is told of them (SEED, RUNS, KINDS, PBX; see tests/faults)
	$(LAB) faults-packages
	SKLIC_LAB_RTP_TIMEOUT=900 $(LAB) session -- node tests/faults/run.mjs

soak: lab build ## Hold 10,000 short conferences on the simulator and watch what grows
	$(LAB) session -- node tests/faults/soak.mjs

guide-test: lab build ## Follow the guide for an existing Asterisk word by word, in a clean root (needs root)
	tests/deb/guide.sh $(TARGET_DIR)/debug/sklic

bench: lab web ## Measure rating, and the service beside the bare switch, in a release build
	cargo build --locked --release --bins
	$(LAB) session -- $(TARGET_DIR)/release/sklic-qa --pbx $(PBX) bench

down: ## End everything that was started here
	$(LAB) down

fmt: ## Format the sources
	cargo fmt --all

lint: ## Check format and lints
	cargo fmt --all --check
	cargo clippy --locked --all-targets --target-dir $(TARGET_DIR)/lints -- -D warnings
