SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
JUNIT := .cache/junit

.DEFAULT_GOAL := help
.PHONY: help venv venv-test venv-core216 demo demo-down test lint unit consumer molecule reload paths websocket hostile live life ways faults python27 centos7 fleet balanced airgap docs docs-site golden images bench bench-converge bench-reload bench-fleet bench-serve bench-kills bench-balanced clean-cache

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

venv: ## Make .venv with the pinned Ansible
	@tests/venv requirements.txt

venv-test:
	@tests/venv requirements-test.txt

venv-core216:
	@tests/venv requirements-core216.txt .venv-core216

demo: venv ## Publish the demo app on a throw-away Docker host and print its URL
	@playbooks/demo/up $(DEMO_ARGS)

demo-down: ## Remove the demo host
	@playbooks/demo/down

# The images of hosts and the other virtualenv are made by the first stage that needs them, beside the unit tests.
test: venv-test venv ## Run lint, unit, consumer and all scenarios, three at a time
	@tests/run unit python27+ ways live life hostile faults+ molecule fleet balanced paths airgap lint consumer centos7 'reload!' 'websocket!'

# What Ansible has packed in one play is handed on to the next; and where building is not what is tested, as bytecode too.
unit consumer molecule reload paths websocket hostile live life ways faults python27 centos7 fleet balanced airgap: \
    export ANSIBLE_CALLBACK_PLUGINS := $(CURDIR)/tests/shared/callbacks
reload paths websocket hostile live life ways faults balanced: export TEST_COMPILED_MODULES := yes

lint: venv-test ## ansible-lint, yamllint, ruff, mypy, changelog fragments, what tasks and templates read
	@status=0; for linter in "yamllint --strict ." "ruff check ." "mypy" "antsibull-changelog lint" "ansible-lint --strict" \
	        "pytest -q tests/unit/test_tasks_read_the_plan.py"; do \
	    echo "$$linter"; $$linter || status=1; \
	done; exit $$status

.PHONY: sanity
sanity: venv ## ansible-test's sanity tests of what users get, under three ansible-cores; SANITY="2.19 -- --test pylint"
	tests/sanity/run $(SANITY)

unit: venv-test ## The plan and the modules as functions
	pytest tests/unit --numprocesses=2 --dist=loadfile --junitxml=$(JUNIT)/unit.xml

consumer: venv-test ## Build the tarball and use it from another infra repo
	pytest tests/consumer --junitxml=$(JUNIT)/consumer.xml

molecule: venv-test ## The main job on Debian 12 and 13 in Docker
reload: venv-test ## Reloads and deploys under load on Debian 12
paths: venv-test ## Locations, mounts, limits, TLS and upstreams asked row by row
websocket: venv-test ## WebSockets past one process: instances, affinity, reloads under 200 clients
hostile: venv-test ## What accounts of the host, neighbours and other machines can make of the next run
live: venv-test ## Whether a play that ends well told the truth, and one that fails says why
life: venv-test ## An application's life: what outlives a release, commands, and the way back
ways: venv-test ## More of an application's life, on a host of its own: where it comes from, who looks at it
faults: venv-test ## Whatever goes wrong while files are written: disks, kills, cut connections
python27: venv-core216 venv ## The same with Python 2.7 on the host and in the applications, under ansible-core 2.16
python27: export PATH := $(CURDIR)/.venv-core216/bin:$(PATH)
centos7: venv-core216 ## The main job on CentOS 7 (image: MOLECULE_CENTOS7_IMAGE), under ansible-core 2.16
centos7: export PATH := $(CURDIR)/.venv-core216/bin:$(PATH)
airgap: venv-test ## A host that reaches nothing, published from a kit
balanced: venv-test ## Rolling deploys of three hosts behind two balancers, under visitors
fleet: venv-test ## One static nginx and one wheel of uWSGI, built once and installed where no compiler is
molecule reload paths websocket hostile live life ways faults python27 centos7 fleet balanced airgap:
	@tests/images/docker-up
	@$(if $(filter centos7,$@),tests/images/centos7)
	molecule test --scenario-name $(if $(filter molecule,$@),default,$@)

docs: venv ## Write the roles' READMEs from their argument specs
	python docs/role_readmes.py

docs-site: ## Build the documentation as a site, with all links checked, in .cache/site/html
	@tests/venv requirements-site.txt .venv-site
	@.venv-site/bin/python docs/site/build .cache/site

golden: venv-test ## Write tests/unit/golden/*.conf and *.ini anew; their diff is what a change does to hosts
	PYTHONPATH=.collections:tests/shared python tests/shared/golden.py
	PYTHONPATH=.collections:tests/shared python tests/shared/golden_import.py

images: ## Make the images of the test hosts
	tests/images/image bookworm
	tests/images/image trixie

bench: bench-converge bench-reload bench-fleet bench-serve ## Run all benchmarks; they write docs/benchmarks.md

bench-converge: venv ## What a run costs that changes nothing, for 1, 10 and 50 applications
bench-reload: venv ## What clients notice of a reload, six ways side by side
bench-serve: venv ## Requests per second, published and by hand, gunicorn and granian beside it
bench-fleet: venv ## What each further host costs once nginx and uWSGI are built, and how a static nginx serves
bench-kills: venv ## Plays killed at random moments and a host without power, under clients; SECONDS=600
bench-converge bench-reload bench-fleet bench-serve bench-kills:
	@tests/bench/$(@:bench-%=%)

bench-balanced: export BALANCED_ROLLS := 10
bench-balanced: balanced ## Ten rolling deploys, three broken ones, and another nginx and uWSGI, behind two balancers

clean-cache: ## Remove the images, the tarballs and .venv
	tests/images/clean
	rm -rf .venv .venv-core216 .venv-site .cache .ansible
