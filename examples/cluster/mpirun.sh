#!/bin/bash
# Open MPI 4: examples/cluster/mpirun.sh 8 --config configs/base.py ...
# More hosts: MPI_FLAGS="--hostfile hosts". Open MPI 5 does not say where its first process is:
# add --coordinator HOST:PORT, the first host of the list.
# To stop: kill -USR1 of mpirun, which it passes on (exit code 75). After a SIGTERM it gives the
# processes one second; the run goes on from its last checkpoint then.
set -euo pipefail
count=$1
shift
# Without binding: a process would have one core for all its threads.
exec mpirun -n "$count" --bind-to none --tag-output ${MPI_FLAGS:-} "${PYTHON:-python}" train.py "$@"
