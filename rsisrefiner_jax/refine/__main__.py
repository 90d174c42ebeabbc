"""Refines a whole layer: points, boxes or rough polygons become outlines along what rasters show.

    python -m rsisrefiner_jax.refine scene.tif --prompts rough.gpkg --out refined.gpkg

Started again after whatever ended it, the same command goes on and comes to the same file.
"""

import argparse
from pathlib import Path

from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.networks import DEFAULT
from rsisrefiner_jax.refine import KEEP_BELOW


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; see `--help`. Raises UserError."""
    options = _parser().parse_args(arguments)
    from rsisrefiner_jax.refine.layer import Fields
    from rsisrefiner_jax.refine.run import Settings, run

    run(
        Settings(
            rasters=tuple(options.rasters),
            prompts=options.prompts,
            out=options.out,
            checkpoint=options.checkpoint,
            overrides=tuple(options.set),
            fields=Fields(options.boxes, options.object, options.positive),
            keep_below=options.keep_below,
            engine=options.engine,
            actors=options.actors,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("refine"),
        description="Refines a whole layer: points, boxes or rough polygons become outlines along "
        "what rasters show. Ids and attributes stay; a column says how sure the network is. "
        "Killed and started again, it goes on and comes to the same file.",
    )
    add = parser.add_argument
    add(
        "rasters",
        nargs="+",
        metavar="RASTER",
        help="files, or addresses of Cloud Optimized GeoTIFFs (https://..., s3://...), which are "
        "fetched for this alone",
    )
    add(
        "--prompts",
        required=True,
        metavar="LAYER",
        help="points or polygons (GeoPackage, GeoJSON, Shapefile, FlatGeobuf) in any coordinate "
        "reference system; FILE|layername=NAME where there are several",
    )
    add("--out", required=True, type=Path, metavar="OUT.gpkg", help="in the system of LAYER")
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this process on all its devices (default), or a Ray cluster",
    )
    add(
        "--actors",
        type=int,
        metavar="N",
        help="networks on the Ray cluster at most (default: its GPUs; without, its machines)",
    )
    _add_prompt_options(parser.add_argument_group("what the prompts mean"))
    _add_network_options(parser.add_argument_group("the network"))
    return parser


def _add_network_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--checkpoint",
        default=DEFAULT,
        metavar="DIR",
        help="a trained network, or one of those included: box, small (%(default)s)",
    )
    add_overrides(group, "of the configuration: model.image_size=448, model.dtype=bfloat16")


def _add_prompt_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--boxes",
        action="store_true",
        help="the polygons stand for the boxes around objects; without, they are corrected",
    )
    add(
        "--object",
        default="",
        metavar="FIELD",
        help="attribute of points that says which object they belong to (default: object_id, where "
        "there is one; else each point is an object)",
    )
    add(
        "--positive",
        default="",
        metavar="FIELD",
        help="attribute of points: 1 on the object, 0 beside it (default: positive, where there is "
        "one; else all are on it)",
    )
    add(
        "--keep-below",
        type=float,
        default=KEEP_BELOW,
        metavar="IOU",
        help="polygons with which the network agrees less stay as they were drawn (%(default)s)",
    )


if __name__ == "__main__":
    run_main(main)
