#!/usr/bin/env bash
# parrot through spark-submit, on the cluster's primary node: submit.sh run --source s3://... --dataset ... --warehouse s3://...
#   PARROT_DELTA   Delta's Maven coordinates; for Spark 4.0 io.delta:delta-spark_2.13:4.0.1
#   PARROT_SUBMIT  further options of spark-submit, separated by spaces
set -euo pipefail

home="${PARROT_HOME:-/opt/parrot}"
read -r -a further <<<"${PARROT_SUBMIT:-}"

# A model lives in a Python worker, outside the JVM's heap: memoryOverhead is what it may take.
exec spark-submit \
  --deploy-mode client \
  --packages "${PARROT_DELTA:-io.delta:delta-spark_2.12:3.3.3}" \
  --conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension \
  --conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog \
  --conf spark.sql.session.timeZone=UTC \
  --conf "spark.pyspark.python=$home/bin/python" \
  --conf spark.executor.cores=2 \
  --conf spark.executor.memory=2g \
  --conf spark.executor.memoryOverhead=8g \
  --conf spark.executorEnv.MALLOC_MMAP_THRESHOLD_=4294967296 \
  --conf spark.executorEnv.MALLOC_TRIM_THRESHOLD_=4294967296 \
  ${further[@]+"${further[@]}"} \
  "$home/main.py" "$@"
