#!/bin/sh
# Starts the Spark Connect server. What is secret goes from files into a file that only this user reads, never on a command line.
set -eu
umask 077
# Java unpacks native libraries where they may be run, which /tmp of a container is not.
mkdir -p /var/lib/rekindle/spark
# What rekindle/platform/spark_connect.py says of few cores holds here too.
few="-XX:+UseSerialGC -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
[ "$(nproc)" -le 2 ] || few=
java="-Duser.timezone=UTC -XX:-UsePerfData -Djava.util.concurrent.ForkJoinPool.common.parallelism=4 \
-Djava.io.tmpdir=/var/lib/rekindle/spark -Dlog4j2.configurationFile=file:/app/conf/log4j2-stdout.properties"
place=/tmp/place.conf
{
  cat /app/docker/spark/connect.conf
  # The cluster's, where there is one.
  [ -z "${SPARK_CLUSTER_CONF:-}" ] || cat "/app/docker/spark/$SPARK_CLUSTER_CONF"
  [ ! -r /run/secrets/spark_cluster ] || echo "spark.authenticate.secret $(cat /run/secrets/spark_cluster)"
  echo "spark.connect.authenticate.token $(cat /run/secrets/spark_token)"
  echo "spark.sql.catalog.lake.jdbc.password $(cat /run/secrets/lake)"
  echo "spark.driver.memory ${SPARK_DRIVER_MEMORY:-4g}"
  echo "spark.driver.extraJavaOptions $java $few ${SPARK_JAVA_OPTIONS:-}"
} > $place
exec /opt/venv/lib/python3.11/site-packages/pyspark/bin/spark-submit --load-spark-defaults --properties-file $place \
  --class org.apache.spark.sql.connect.service.SparkConnectServer spark-internal
