# Two commands for a bare machine. Each makes .venv with all that is needed first, and can be run again.
#
#   make demo    the main job: nuclei segmented by the shipped model, in napari or, without a display, into demo_output/
#   make test    ruff, mypy, import-linter and all tests

PYTHON ?=
export PYTHON

.PHONY: demo test test-lowest system clean

demo:
	.ci/install
	.venv/bin/napari-seg demo

test:
	.ci/run

# The tests with the oldest version of every library that pyproject.toml allows.
test-lowest:
	.ci/install .venv-lowest .ci/lowest.txt
	.venv-lowest/bin/python -m pytest

# Only the system libraries that Qt and OpenGL need.
system:
	.ci/install none

clean:
	rm -rf .venv .venv-lowest demo_output dist build
