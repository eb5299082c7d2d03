#!/bin/sh
# A master or a worker of a Spark cluster:  standalone.sh master|worker
set -eu
umask 077
place=/tmp/cluster.conf
{
  echo "spark.authenticate true"
  echo "spark.authenticate.secret $(cat /run/secrets/spark_cluster)"
  echo "spark.network.crypto.enabled true"
  echo "spark.master.rest.enabled false"
} > $place
SPARK_DAEMON_MEMORY=256m
SPARK_LOCAL_DIRS=/var/lib/rekindle
JAVA_TOOL_OPTIONS=-Dlog4j2.configurationFile=file:/app/conf/log4j2-stdout.properties
export SPARK_DAEMON_MEMORY SPARK_LOCAL_DIRS JAVA_TOOL_OPTIONS
start=/opt/venv/lib/python3.11/site-packages/pyspark/bin/spark-class
case $1 in
  master) exec $start org.apache.spark.deploy.master.Master --host spark-master --port 7077 --properties-file $place ;;
  worker) exec $start org.apache.spark.deploy.worker.Worker --cores 2 --memory 1200m --work-dir /var/lib/rekindle --webui-port 8081 \
    --properties-file $place spark://spark-master:7077 ;;
esac
