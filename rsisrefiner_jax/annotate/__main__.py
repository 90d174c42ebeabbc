"""Click objects on rasters of any size, in the browser.

    python -m rsisrefiner_jax.annotate scene.tif

Work is kept in a project folder: next to a single image or folder, else ./annotations.
"""

import argparse
import logging
import os
from pathlib import Path

from rsisrefiner_jax.annotate.access import VARIABLE, Access, given_token
from rsisrefiner_jax.annotate.safety import UPLOAD_QUOTA
from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import require, run_main
from rsisrefiner_jax.networks import DEFAULT, require_checkpoint


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError for what cannot be opened."""
    options = _parser().parse_args(arguments)
    access = Access(
        host=options.host,
        port=options.port,
        base_url=options.base_url,
        allowed=tuple(options.allow_origin),
        token=None if options.no_token else given_token(options.token_file),
        no_token=options.no_token,
    )
    require(options.upload_quota >= 0, f"--upload-quota {options.upload_quota}: must not be < 0")
    checkpoint = None if options.checkpoint is None else require_checkpoint(options.checkpoint)
    for path in (*options.images, *options.root):
        require(path.exists(), f"{path}: no such file or folder")
    for path in options.root:
        require(path.is_dir(), f"--root {path}: not a folder")
    # GDAL reads them when it is first used.
    os.environ.setdefault("GDAL_CACHEMAX", "192")
    os.environ.setdefault("GDAL_NUM_THREADS", "ALL_CPUS")  # a large window is soon unpacked
    # It remarks on those it has not got, and on files that it reads all the same.
    logging.getLogger("rasterio._env").setLevel(logging.ERROR)
    from rsisrefiner_jax.annotate import stopping
    from rsisrefiner_jax.annotate.serve import serve

    status = serve(
        images=options.images,
        roots=options.root,
        project=options.project or project_folder(options.images),
        checkpoint=checkpoint,
        access=access,
        upload_quota=options.upload_quota,
    )
    stopping.leave(status)


def project_folder(images: list[Path]) -> Path:
    """The project folder for these images."""
    if len(images) == 1:
        only = images[0].resolve()
        return only / "annotations" if only.is_dir() else only.with_suffix(".annotations")
    return Path("annotations")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("annotate"),
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
        "--checkpoint",
        metavar="DIR",
        help="a trained network, or one of those included: box, or small, which is faster and "
        f"needs twice the clicks (the one used last in the project, at first {DEFAULT})",
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
    _add_access(parser)
    return parser


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may use it, and how it is reached")
    token = group.add_mutually_exclusive_group()
    token.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="holds the token that clients must know, as the environment variable "
        f"{VARIABLE} may (default: one made up for the project and kept in it)",
    )
    token.add_argument(
        "--no-token", action="store_true", help="serve everybody who reaches the address"
    )
    group.add_argument(
        "--base-url",
        metavar="URL",
        help="the address that browsers use where a proxy stands in between, such as "
        "https://hub.example/user/me/proxy/8000/; {{port}} in it stands for the port",
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="one more address of the page, or the page of GeoLibre (docs/integrations.md), as "
        "https://host; may be given several times",
    )
    group.add_argument(
        "--upload-quota",
        type=float,
        default=UPLOAD_QUOTA,
        metavar="GIB",
        help="how much all uploaded rasters may take (%(default)s)",
    )


if __name__ == "__main__":
    run_main(main)
