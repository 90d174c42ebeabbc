"""Trains: python train.py --config configs/base.py, see `rsisrefiner_jax/commands/train.py`."""

from rsisrefiner_jax.commands.train import main
from rsisrefiner_jax.errors import run_main

if __name__ == "__main__":
    run_main(main)
