#!/bin/sh
# Sets up .venv with everything that Rekindle runs on. Says little; the whole story is in .venv/setup.log.
#   scripts/setup.sh PYTHON
set -eu
cd "$(dirname "$0")/.."
python=$1
log=.venv/setup.log
mkdir -p .venv
: > "$log"

step() {
  what=$1; shift
  began=$(date +%s)
  if ! "$@" >> "$log" 2>&1; then
    echo "$what: failed. The log says why: $log" >&2
    exit 2
  fi
  echo "$what: $(($(date +%s) - began)) s"
}

# What pip would install from is left to its own settings. Byte code is made at the end, on all processors.
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }
packages() { pip install --no-deps --require-hashes --no-compile --root-user-action=ignore -r requirements.txt -r requirements-data.txt; }
ourselves() { pip install --no-deps --no-build-isolation --no-index --no-compile --root-user-action=ignore --editable .; }
# Some packages carry templates that are no Python; nobody imports them.
byte_code() { .venv/bin/python -m compileall -q -j 0 .venv/lib || true; }
jars() { .venv/bin/python -c 'from rekindle.platform.spark_connect import fetch_jars; fetch_jars()'; }

step "Virtual environment" "$python" -m venv .venv
step "Packages, 1.8 GiB" packages
step "Rekindle" ourselves
step "Byte code" byte_code
step "Spark's jars" jars
touch .venv/ready
