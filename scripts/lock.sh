#!/bin/sh
# Writes requirements*.txt from requirements*.in with uv, in an environment that is thrown away.
#   scripts/lock.sh PYTHON
set -eu
cd "$(dirname "$0")/.."
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"$1" -m venv "$box"
"$box/bin/pip" install --quiet --disable-pip-version-check uv
lock() {
  "$box/bin/uv" pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header "$@"
}
lock requirements.in -o requirements.txt
lock --no-deps requirements-data.in -o requirements-data.txt
lock requirements-bench.in -o requirements-bench.txt
# What the containers run on is what is tested, and what only they need.
lock requirements.in requirements-stack.in --constraint requirements.txt -o requirements-stack.txt
lock docker/store/requirements.in -o docker/store/requirements.txt
