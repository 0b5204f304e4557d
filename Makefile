# The commands of this repository. `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help test

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

test: ## run every test
	cargo test --workspace
