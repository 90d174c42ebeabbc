"""train.py around a network that compiles quickly, for tests that start it as a process."""

import train
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.models import registry
from tests import tiny

if __name__ == "__main__":
    registry.Refiner = tiny.SmallModel
    run_main(train.main)
