#!/bin/sh
# Makes the secrets of docker-compose.yml: one file each, readable by the containers' user alone. What is there stays.
#   scripts/secrets.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."
folder=${1:-secrets}
containers_user=10001
command -v openssl > /dev/null || { echo "Missing: openssl is needed to make secrets." >&2; exit 2; }
umask 077
mkdir -p "$folder"

# Written aside and renamed, so that what is broken off leaves no empty secret.
keep() { [ -s "$folder/$1" ] || { cat > "$folder/$1.draft" && mv "$folder/$1.draft" "$folder/$1" && echo "made $1"; }; }

# One for each role of Postgres, account of a page or of a service, and key.
for name in postgres airflow lake mlflow mlflow_auth scores sms_reader rekindle_metrics rekindle_answers phone_key spark_token spark_cluster \
  airflow_admin airflow_operator airflow_viewer airflow_session airflow_jwt \
  mlflow_admin mlflow_trainer mlflow_promoter mlflow_scorer mlflow_session \
  s3_root s3_spark s3_tasks s3_mlflow s3_importer; do
  [ -s "$folder/$name" ] || openssl rand -hex 24 | tr -d '\n' | keep "$name"
done
[ -s "$folder/airflow_fernet_key" ] || openssl rand -base64 32 | tr '+/' '-_' | tr -d '\n' | keep airflow_fernet_key

# Our own authority, and the certificate by which clients know the Spark server.
if [ ! -s "$folder/spark_tls_certificate" ]; then
  box=$(mktemp -d)
  trap 'rm -rf "$box"' EXIT
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Rekindle's own authority" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$box/authority.key" -out "$box/authority" 2> "$box/log"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=spark-tls -keyout "$box/key" -out "$box/request" 2>> "$box/log"
  printf 'subjectAltName=DNS:spark-tls,DNS:localhost\nextendedKeyUsage=serverAuth\n' > "$box/names"
  openssl x509 -req -in "$box/request" -CA "$box/authority" -CAkey "$box/authority.key" -CAcreateserial -days 825 \
    -extfile "$box/names" -out "$box/certificate" 2>> "$box/log"
  # The authority's key is not kept: who needs another certificate makes both anew.
  rm -f "$folder/authority" "$folder/spark_tls_key"
  keep authority < "$box/authority"
  keep spark_tls_key < "$box/key"
  keep spark_tls_certificate < "$box/certificate"
fi

# Compose hands a file's owner and mode on as they are.
if [ "$(id -u)" = 0 ]; then
  chown "$containers_user:$containers_user" "$folder"/*
elif [ -n "$(find "$folder" -type f -user "$(id -u)")" ]; then
  docker run --rm --user 0 --volume "$PWD/$folder:/secrets" --entrypoint chown debian:bookworm-slim -R "$containers_user:$containers_user" /secrets
fi
chmod 0600 "$folder"/* 2> /dev/null || true
