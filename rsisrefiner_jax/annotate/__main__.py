"""Click objects on rasters of any size, in the browser.

    python -m rsisrefiner_jax.annotate scene.tif

Work is kept in a project folder: next to a single image or folder, else ./annotations.
"""

import argparse
import logging
import os
from pathlib import Path

from rsisrefiner_jax.errors import require, run_main

PACKAGED = Path(__file__).parent / "model"


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError for what cannot be opened."""
    options = _parser().parse_args(arguments)
    require(0 <= options.port <= 65535, f"--port {options.port}: must lie in 0..65535")
    checkpoint = options.checkpoint or PACKAGED
    require(
        checkpoint.is_dir(),
        f"{checkpoint}: no checkpoint there; name one with --checkpoint DIR",
    )
    for path in (*options.images, *options.root):
        require(path.exists(), f"{path}: no such file or folder")
    for path in options.root:
        require(path.is_dir(), f"--root {path}: not a folder")
    # GDAL reads them when it is first used.
    os.environ.setdefault("GDAL_CACHEMAX", "192")
    os.environ.setdefault("GDAL_NUM_THREADS", "ALL_CPUS")  # a large window is soon unpacked
    # It remarks on those it has not got, and on files that it reads all the same.
    logging.getLogger("rasterio._env").setLevel(logging.ERROR)
    from rsisrefiner_jax.annotate.serve import serve

    serve(
        images=options.images,
        roots=options.root,
        project=options.project or project_folder(options.images),
        checkpoint=checkpoint,
        host=options.host,
        port=options.port,
        token=options.token,
    )


def project_folder(images: list[Path]) -> Path:
    """Where the work on these images is kept."""
    if len(images) == 1:
        only = images[0].resolve()
        return only / "annotations" if only.is_dir() else only.with_suffix(".annotations")
    return Path("annotations")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rsisrefiner_jax.annotate",
        description="Click objects on rasters of any size, in the browser. Work is kept in a "
        "project folder, click by click; start it again on the same images to go on.",
    )
    add = parser.add_argument
    add(
        "images",
        nargs="*",
        type=Path,
        metavar="IMAGE_OR_FOLDER",
        help="rasters to open, or folders of them",
    )
    add(
        "--checkpoint", type=Path, metavar="DIR", help="a trained model (default: the one included)"
    )
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    add("--port", type=int, default=8000, metavar="N", help="%(default)s; 0 chooses a free one")
    add(
        "--project",
        type=Path,
        metavar="DIR",
        help="where work is kept (default: next to a single image or in a single folder, else "
        "./annotations)",
    )
    add(
        "--root",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder whose rasters may be opened from the page, besides those of the images; "
        "may be given several times",
    )
    add(
        "--token",
        metavar="T",
        help="what clients must know; made up when --host is not this machine alone",
    )
    return parser


if __name__ == "__main__":
    run_main(main)
