.DEFAULT_GOAL := help
.PHONY: dev test check bench help

dev: ## run everything in one process, in memory, on http://localhost:4000
	cargo run -p causeway -- serve all

test: ## install what is missing, start throwaway servers, run every test and the independent clients
	@scripts/test.sh

check: ## formatting, lints, documentation, contracts, dependencies
	@scripts/check.sh

bench: ## what the gateway costs, measured against the same services called directly
	@scripts/bench.sh

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
