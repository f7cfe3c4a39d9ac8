# The four things people do. They use the environment that is active, or .venv if there is one.
BIN := $(if $(wildcard .venv/bin/python),.venv/bin/,)

.PHONY: test check bench demo
test:   ; $(BIN)pytest
check:  ; $(BIN)ruff format --check . && $(BIN)ruff check . && $(BIN)mypy && $(BIN)lint-imports
bench:  ; $(BIN)fastrace bench
demo:   ; $(BIN)fastrace demo
