"""A network as files that run without this package.

    python -m rsisrefiner_jax.export CHECKPOINT OUT --format stablehlo

OUT/encode_image.jax_export and OUT/predict.jax_export are the two functions of a click model with
its weights, for any number of samples and of clicks; OUT/export.json says what goes in and comes
out. `docs/export.md` shows how they are called with jax alone.
"""

import argparse
import importlib.util
from pathlib import Path

from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import require, run_main


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError: no checkpoint, or OUT in use."""
    parser = argparse.ArgumentParser(
        prog=program("export"),
        description="Writes a network with its weights as two functions, encode_image and predict, "
        "that jax alone loads and runs, on any device.",
    )
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="a directory, or a packaged network: small, box")
    add("out", metavar="OUT", type=Path, help="a new or empty directory")
    add("--format", choices=("stablehlo",), default="stablehlo", help="%(default)s, by jax.export")
    add_overrides(parser, "of the configuration: model.image_size=448, model.dtype=bfloat16")
    options = parser.parse_args(arguments)
    require(
        importlib.util.find_spec("flatbuffers") is not None,
        "jax.export writes its files by flatbuffers; run pip install -e .[export]",
    )

    from rsisrefiner_jax.checkpoint.loading import load_model
    from rsisrefiner_jax.checkpoint.runs import require_new_directory
    from rsisrefiner_jax.export.stablehlo import write

    require_new_directory(options.out)
    loaded = load_model(options.checkpoint, options.set)
    size = write(loaded, options.out)
    print(f"{options.out}: {loaded.config.name}, step {loaded.step}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_main(main)
