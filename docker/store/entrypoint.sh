#!/bin/sh
# The root account is read from files: an environment in the compose file would show it.
set -eu
ROOT_ACCESS_KEY=root
ROOT_SECRET_KEY=$(cat /run/secrets/s3_root)
export ROOT_ACCESS_KEY ROOT_SECRET_KEY
exec versitygw --port :7070 --health /health --iam-dir /accounts --quiet --keep-alive posix /data
