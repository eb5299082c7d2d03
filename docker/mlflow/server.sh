#!/bin/sh
# MLflow's server. Its accounts' settings hold a password, so they are written where only this user reads them.
set -eu
umask 077
secret() { cat "/run/secrets/$1"; }
cat > /tmp/accounts.ini <<INI
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = postgresql+psycopg://mlflow_auth:$(secret mlflow_auth)@postgres:5432/mlflow_auth
admin_username = admin
admin_password = $(secret mlflow_admin)
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
INI
MLFLOW_AUTH_CONFIG_PATH=/tmp/accounts.ini
MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret mlflow_session)
MLFLOW_BACKEND_STORE_URI="postgresql+psycopg://mlflow:$(secret mlflow)@postgres:5432/mlflow"
export MLFLOW_AUTH_CONFIG_PATH MLFLOW_FLASK_SERVER_SECRET_KEY MLFLOW_BACKEND_STORE_URI
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 --workers 1 --artifacts-destination s3://mlflow/ \
  --allowed-hosts "mlflow:5000,localhost:5000,localhost:$MLFLOW_PORT,127.0.0.1:$MLFLOW_PORT"
