#!/usr/bin/env bash
# install.sh FOLDER DELTA_VERSION, as root: makes /opt/parrot from what lies in FOLDER, with the locked packages and the wheel.
# A node's bootstrap action and the image for EMR Serverless both run it.
set -euo pipefail

folder="${1:?usage: install.sh FOLDER DELTA_VERSION}"
delta_version="${2:?usage: install.sh FOLDER DELTA_VERSION}"
home="${PARROT_HOME:-/opt/parrot}"

dnf install -y -q python3.11 python3.11-pip
python3.11 -m venv "$home"
# The root volume need not hold a cache of what is installed once.
pip() { "$home/bin/pip" install --quiet --no-cache-dir --no-deps "$@"; }
pip --require-hashes --requirement "$folder/requirements-runtime.lock"
# Delta's Python module; its jar, and Spark itself, are EMR's own.
pip "delta-spark==$delta_version" "$folder"/parrot_captions-*.whl
cp "$folder/main.py" "$folder/submit.sh" "$folder/gpus.sh" "$home/"
chmod 755 "$home/submit.sh" "$home/gpus.sh"
# Where parrot.yaml lets models look for weights, and put random ones.
mkdir -p "$home/weights"
if [ -d "$folder/weights" ]; then cp "$folder"/weights/* "$home/weights/"; fi
chmod 1777 "$home/weights"
