"""Evaluates: python eval.py --checkpoint DIR --out DIR, see `rsisrefiner_jax/commands/eval.py`."""

from rsisrefiner_jax.commands.eval import main
from rsisrefiner_jax.errors import run_main

if __name__ == "__main__":
    run_main(main)
