#!/usr/bin/env bash
# parrot through spark-submit, on the cluster's primary node: submit.sh run --source s3://... --dataset ... --warehouse s3://...
#   PARROT_DELTA   Maven coordinates of a Delta in place of EMR's own: io.delta:delta-spark_2.12:3.3.3
#   PARROT_SUBMIT  further options of spark-submit, separated by spaces
set -euo pipefail

home="${PARROT_HOME:-/opt/parrot}"
jars="${PARROT_JARS:-/usr/share/aws/delta/lib}"
read -r -a further <<<"${PARROT_SUBMIT:-}"

if [ -n "${PARROT_DELTA:-}" ]; then
  delta=(--packages "$PARROT_DELTA")
elif [ -f "$jars/delta-spark.jar" ]; then
  # EMR's own, which fits its Spark, and needs no way to Maven Central.
  delta=(--jars "$jars/delta-spark.jar,$jars/delta-storage.jar")
else
  echo "no Delta in $jars: start the cluster with the classification delta-defaults (cluster.py does), or set" \
    "PARROT_DELTA=io.delta:delta-spark_2.12:3.3.3" >&2
  exit 1
fi

# A model lives in a Python worker, outside the JVM's heap: memoryOverhead is what it may take.
exec spark-submit \
  --deploy-mode client \
  "${delta[@]}" \
  --conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension \
  --conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog \
  --conf spark.sql.session.timeZone=UTC \
  --conf spark.scheduler.mode=FAIR \
  --conf "spark.pyspark.python=$home/bin/python" \
  --conf "spark.pyspark.driver.python=$home/bin/python" \
  --conf spark.executor.cores=2 \
  --conf spark.executor.memory=2g \
  --conf spark.executor.memoryOverhead=8g \
  --conf spark.executorEnv.MALLOC_MMAP_THRESHOLD_=4294967296 \
  --conf spark.executorEnv.MALLOC_TRIM_THRESHOLD_=4294967296 \
  ${further[@]+"${further[@]}"} \
  "$home/main.py" "$@"
