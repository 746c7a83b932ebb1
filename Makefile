# Two commands matter: `make check` and `make test`; continuous integration runs the same two. While working, `make fast`
# answers in a minute and a half. `make run` shows the main job.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Bytecode is kept between runs whatever the shell says: without it every worker of the tests compiles all of them anew,
# an eighth of the time of `make fast`.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test fast process soak fuzz check format lock rivals clean
.DEFAULT_GOAL := run

setup: $(READY)

# The lock pins every package with its hashes; nothing else is installed, the project itself is linked in place.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, this is " + sys.version.split()[0])'
	@echo 'setting up .venv from the lock file, about a minute and a half'
	@$(PYTHON) -m venv .venv
	@$(PYTHON) tools/install.py $(BIN)/python requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY)
	$(BIN)/vpp demo

# The tests of a file run in one process, files side by side: one more than two cores have room for, since tests of
# processes wait. Files keep the order of tests/tiers.py, the long ones first. The twenty slowest are named at the end.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20 \
  $(if $(MINUTES),--minutes $(MINUTES) -rs)
test: $(READY)
	$(PYTEST)

# One tier of tests/tiers.py each: what needs neither processes nor long runs, what starts processes, what runs long.
# Nothing waits in the first, so it takes as many workers as there are cores to spare.
fast: WORKERS := 2
fast process soak: $(READY)
	$(PYTEST) -m $@

# A million inputs nobody would send: OCPP, WebSocket, Modbus, MQTT, HTTP. Another seed draws others: make fuzz SEED=7
SEED ?= 1
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --seed $(SEED)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY)
	uv pip compile --python-version 3.11 --universal --all-extras --generate-hashes --no-emit-index-url --no-annotate \
	  --quiet pyproject.toml -o requirements.lock

# What `vpp bench optimizer --rivals` is compared with; heavy, and needed for nothing else.
rivals:
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/python -m pip install --quiet --disable-pip-version-check -r vpp/lab/bench/rivals/requirements.txt

clean:
	rm -rf .venv .venv-rivals .vpp .mypy_cache .ruff_cache .pytest_cache .hypothesis
