#!/bin/sh
# What is read from the environment only gets its secrets here, from files: the compose file holds references.
set -eu

# The content of a secret; nothing where the service was not given it.
secret() { [ ! -r "/run/secrets/$1" ] || cat "/run/secrets/$1"; }
given() { [ -r "/run/secrets/$1" ]; }

if given airflow; then
  AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql+psycopg://airflow:$(secret airflow)@postgres:5432/airflow"
  AIRFLOW__CORE__FERNET_KEY=$(secret airflow_fernet_key)
  AIRFLOW__API__SECRET_KEY=$(secret airflow_session)
  AIRFLOW__API_AUTH__JWT_SECRET=$(secret airflow_jwt)
  export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN AIRFLOW__CORE__FERNET_KEY AIRFLOW__API__SECRET_KEY AIRFLOW__API_AUTH__JWT_SECRET
fi
if given scores; then
  REKINDLE_DATABASE_URL="postgresql://scores:$(secret scores)@postgres:5432/scores"
  export REKINDLE_DATABASE_URL
fi
for reader in rekindle_metrics rekindle_answers; do
  if given "$reader" && ! given postgres; then
    REKINDLE_DATABASE_URL="postgresql://$reader:$(secret "$reader")@postgres:5432/scores"
    export REKINDLE_DATABASE_URL
  fi
done
if given phone_key; then
  REKINDLE_PHONE_KEY=$(secret phone_key)
  export REKINDLE_PHONE_KEY
fi
if given spark_token && [ -n "${SPARK_REMOTE:-}" ]; then
  SPARK_CONNECT_AUTHENTICATE_TOKEN=$(secret spark_token)
  AIRFLOW_CONN_SPARK_DEFAULT=$(printf '{"conn_type": "spark_connect", "host": "sc://spark-tls", "port": 15002, "password": "%s", "extra": {"use_ssl": true}}' \
    "$SPARK_CONNECT_AUTHENTICATE_TOKEN")
  export SPARK_CONNECT_AUTHENTICATE_TOKEN AIRFLOW_CONN_SPARK_DEFAULT
fi
if [ -n "${AWS_ACCESS_KEY_ID:-}" ]; then
  AWS_SECRET_ACCESS_KEY=$(secret "s3_$AWS_ACCESS_KEY_ID")
  export AWS_SECRET_ACCESS_KEY
fi
# A service's log goes through our filter; who gives a command by hand reads what it prints.
[ -z "${SERVICE:-}" ] || exec python -m rekindle.logs "$SERVICE" -- "$@"
exec "$@"
