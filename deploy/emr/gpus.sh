#!/usr/bin/env bash
# Tells Spark which GPUs an executor has, as spark.executor.resource.gpu.discoveryScript wants it.
set -euo pipefail

indices="$(nvidia-smi --query-gpu=index --format=csv,noheader)"
printf '{"name": "gpu", "addresses": [%s]}\n' "$(sed 's/.*/"&"/' <<<"$indices" | paste -sd, -)"
