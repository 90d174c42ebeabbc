#!/bin/bash
# A TPU pod slice: the same command on every host; jax finds the others by itself.
#   examples/cluster/tpu_pod.sh NAME ZONE --config configs/base.py --workdir /mnt/shared/runs/base
# The project lies in ~/rsisrefiner_jax on every host with its `tpu` extra installed; data and work
# directory are on a file system that all hosts mount. DRY_RUN=1 prints what would be run.
set -euo pipefail
name=$1
zone=$2
shift 2
command="cd ~/rsisrefiner_jax && python3 train.py$(printf ' %q' "$@")"
${DRY_RUN:+echo} gcloud compute tpus tpu-vm ssh "$name" --zone "$zone" --worker=all \
    --command "$command"
