#!/bin/sh
# Makes the data folder where there is none, whole or not at all, and becomes the server.
set -eu
data=/var/lib/postgresql/data
if [ ! -f "$data/PG_VERSION" ]; then
  rm -rf "$data.draft"
  initdb --pgdata "$data.draft" --username postgres --pwfile /run/secrets/postgres --auth scram-sha-256 --encoding UTF8 \
    --no-locale --locale-provider builtin --builtin-locale C.UTF-8 > /dev/null
  echo "host all all all scram-sha-256" >> "$data.draft/pg_hba.conf"
  mv "$data.draft" "$data"
fi
# Of a server that was killed; in this container no other can have been started on it.
rm -f "$data/postmaster.pid"
# Rows and statements hold phones: an error is told without them.
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories='' -c max_connections=150 -c shared_buffers=256MB \
  -c log_error_verbosity=terse -c log_min_error_statement=panic -c dynamic_shared_memory_type=mmap -c timezone=UTC -c log_timezone=UTC -c password_encryption=scram-sha-256 "$@"
