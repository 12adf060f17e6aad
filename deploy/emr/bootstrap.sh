#!/usr/bin/env bash
# EMR bootstrap action: bootstrap.sh s3://BUCKET/FOLDER [DELTA_VERSION]
# Makes /opt/parrot on every node: Python 3.11, the locked packages (no Spark, no test tools), the wheel, main.py, submit.sh.
# FOLDER holds requirements-runtime.lock, the wheel, main.py and submit.sh.
set -euo pipefail

folder="${1:?usage: bootstrap.sh s3://BUCKET/FOLDER [DELTA_VERSION]}"
delta_version="${2:-3.3.3}" # EMR 7 has Spark 3.5; for Spark 4.0 give 4.0.1
home="${PARROT_HOME:-/opt/parrot}"
work="$(mktemp -d)"

aws s3 cp --recursive --only-show-errors "$folder" "$work"
sudo dnf install -y -q python3.11 python3.11-pip
sudo python3.11 -m venv "$home"
# The root volume need not hold pip's cache of what is installed once.
pip() { sudo "$home/bin/pip" install --quiet --no-cache-dir --no-deps "$@"; }
pip --require-hashes --requirement "$work/requirements-runtime.lock"
# Delta's Python module; its jar, and Spark itself, come with spark-submit.
pip "delta-spark==$delta_version" "$work"/parrot_captions-*.whl
sudo cp "$work/main.py" "$work/submit.sh" "$home/"
sudo chmod 755 "$home/submit.sh"
rm -rf "$work"
