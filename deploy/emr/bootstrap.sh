#!/usr/bin/env bash
# EMR bootstrap action: bootstrap.sh s3://BUCKET/FOLDER [DELTA_VERSION] [gpu]
# Makes /opt/parrot on every node from what cluster.py has put into FOLDER.
set -euo pipefail

folder="${1:?usage: bootstrap.sh s3://BUCKET/FOLDER [DELTA_VERSION] [gpu]}"
delta_version="${2:-3.3.2}" # that of EMR 7.13
kind="${3:-cpu}"
work="$(mktemp -d)"

aws s3 cp --recursive --only-show-errors --exclude 'logs/*' "$folder" "$work"
sudo --preserve-env=PARROT_HOME bash "$work/install.sh" "$work" "$delta_version"
if [ "$kind" = gpu ]; then
  # YARN keeps containers to their GPUs by a cgroup of version 1, which this Linux no longer mounts by itself.
  sudo mkdir -p /parrot-cgroup/devices
  sudo mount -t cgroup -o devices cgroup-devices /parrot-cgroup/devices
  sudo chmod -R a+rwx /parrot-cgroup
fi
rm -rf "$work"
