"""Outlines shifted and roughened by rule, refined again: IoU with the originals before and after.

    python -m benchmarks.refine --data coco:IMAGES,ANNOTATIONS.json --objects 60 --out DIR \\
        --checkpoint box --kills 5

Every picture of the data becomes a GeoTIFF of its own place, and its chosen objects polygons of one
layer: moved by up to a fifth of the root of their area, with few corners that miss by a twentieth
of it, and up to a twentieth wider or narrower. `python -m rsisrefiner_jax.refine` refines the
layer; with --kills it does so again, killed at random moments, and the bytes must be the same.
"""

import argparse
import math
import random
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import shapely
from pyogrio import raw
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from benchmarks.measure import report
from rsisrefiner_jax.data.scene import Scene
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import require, run_main
from rsisrefiner_jax.evaluation.strata import size_of
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.vector_writing import Column, write_layer
from rsisrefiner_jax.formats.vectors import written_alike

CRS, STEP = "EPSG:32632", 100_000  # metres between the places of two pictures, of 1 m pixels
SHIFT, MISS, WIDER = 0.2, 0.05, 0.05  # of the root of the area


class Thing(NamedTuple):
    """An object. origin: (east, north) of its picture's corner. rough: in pixels of that."""

    category: str
    mask: Mask
    rough: BaseGeometry
    size: tuple[int, int]
    origin: tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", nargs="+", required=True, metavar="SPEC")
    add("--objects", type=int, default=60, help="of pictures drawn at random (%(default)s)")
    add("--least", type=int, default=100, help="pixels of the smallest object (%(default)s)")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--checkpoint", default="box")
    add("--kills", type=int, default=0)
    add("--engine", default="local")
    add("--seed", type=int, default=0)
    add("--json", type=Path)
    add("more", nargs="*", help="options of the command, after --")
    options = parser.parse_args()
    things = prepare(options)
    require(bool(things), "no object is large enough")
    command = [sys.executable, "-m", "rsisrefiner_jax.refine"]
    command += [str(path) for path in sorted(options.out.glob("picture-*.tif"))]
    command += ["--prompts", str(options.out / "rough.gpkg"), "--checkpoint", options.checkpoint]
    command += ["--engine", options.engine, *options.more]
    whole = options.out / "refined.gpkg"
    whole.unlink(missing_ok=True)
    start = time.perf_counter()
    subprocess.run([*command, "--out", str(whole)], check=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    about: dict[str, Any] = {
        "network": options.checkpoint,
        "objects an hour": round(3600 * len(things) / seconds),
        "seconds": round(seconds, 1),
        "peak MiB": round(peak),
    }
    if options.kills:
        again = options.out / "killed.gpkg"
        about["killed"] = kill(command, again, options.kills, seconds, options.seed)
        about["same bytes"] = whole.read_bytes() == again.read_bytes()
    report("Refined layers", about, rows(things, whole), options.json)


def prepare(options: argparse.Namespace) -> list[Thing]:
    """Writes the pictures and the rough layer."""
    options.out.mkdir(parents=True, exist_ok=True)
    for earlier in options.out.glob("picture-*.tif"):
        earlier.unlink()
    pictures = [
        (source, n) for source in map(open_source, options.data) for n in range(len(source))
    ]
    random.Random(options.seed).shuffle(pictures)
    things: list[Thing] = []
    for place, (source, n) in enumerate(pictures):
        found = list(_rough_ones(source[n], options, (500_000, STEP * (place + 1))))
        if found and len(things) < options.objects:
            path = options.out / f"picture-{place:04}.tif"
            write_picture(path, source[n].image, found[0].origin)
            things += found[: options.objects - len(things)]
        if len(things) == options.objects:
            break
    write(options.out / "rough.gpkg", things)
    return things


def _rough_ones(
    scene: Scene, options: argparse.Namespace, origin: tuple[int, int]
) -> Iterator[Thing]:
    """The objects of a picture that are large enough."""
    height, width = scene.image.shape[:2]
    for item in scene.objects:
        mask = Mask(0, 0, scene.mask(item)).trimmed()
        if mask.area >= options.least:
            seed = zlib.crc32(f"{options.seed} {scene.name} {item.id}".encode())
            shape = rough(geometry.polygons(mask), mask.area, np.random.default_rng(seed))
            yield Thing(item.category, mask, shape, (width, height), origin)


def write_picture(path: Path, rgb: np.ndarray, origin: tuple[int, int]) -> None:
    """A picture as a GeoTIFF with its upper left corner at a place."""
    height, width, _ = rgb.shape
    shape = {"count": 3, "height": height, "width": width, "dtype": "uint8", "driver": "GTiff"}
    grid = Affine(1, 0, origin[0], 0, -1, origin[1])
    with rasterio.open(path, "w", crs=CRS, transform=grid, tiled=True, **shape) as file:
        file.write(np.moveaxis(rgb, -1, 0))


def rough(shape: BaseGeometry, area: int, rng: np.random.Generator) -> BaseGeometry:
    """An outline of pixels, shifted and roughened by rule."""
    root = math.sqrt(area)
    simple = shapely.simplify(shape, MISS * root)
    missed = shapely.transform(simple, lambda xy: xy + _miss(xy, MISS * root, rng))
    wider = shapely.buffer(shapely.make_valid(missed), rng.uniform(-WIDER, WIDER) * root)
    turn, far = rng.uniform(0, 2 * math.pi), rng.uniform(0, SHIFT) * root
    step = far * np.array([math.cos(turn), math.sin(turn)])
    parts = geometry.flat(wider) or geometry.flat(shape)
    return shapely.transform(max(parts, key=lambda part: part.area), lambda xy: xy + step)


def _miss(xy: np.ndarray, by: float, rng: np.random.Generator) -> np.ndarray:
    """A step for every corner; the same one where a ring ends as where it began."""
    corners, which = np.unique(xy, axis=0, return_inverse=True)
    return rng.normal(0, by, corners.shape)[which.reshape(-1)]


def write(path: Path, things: Sequence[Thing]) -> None:
    """The rough outlines as a layer on the ground."""
    shapes: list[BaseGeometry | None] = []
    for thing in things:
        east, north = thing.origin
        move = lambda xy, e=east, n=north: np.stack([e + xy[:, 0], n - xy[:, 1]], -1)  # noqa: E731
        shapes.append(shapely.MultiPolygon([shapely.transform(thing.rough, move)]))
    path.unlink(missing_ok=True)
    columns = {"class": Column([thing.category for thing in things], str)}
    with written_alike():
        write_layer(path, shapes, columns, CRS, driver="GPKG", layer="rough")


def kill(command: list[str], out: Path, kills: int, seconds: float, seed: int) -> int:
    """Runs a command again and again, killed at random moments, and then to its end.

    kills: how often at most. seconds: that the command takes undisturbed; the moments are drawn so
    that about two thirds of it are done after the last kill.

    Returns:
        How often it was killed: less often where it came to its end before.
    """
    out.unlink(missing_ok=True)
    rng, killed = random.Random(seed), 0
    for _ in range(kills):
        process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.1, 0.9) * seconds * 4 / 3 / kills)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if out.exists():
            return killed
    subprocess.run([*command, "--out", str(out)], check=True)
    return killed


def rows(things: Sequence[Thing], refined: Path) -> list[dict[str, Any]]:
    """A line for each size, and one for all of them."""
    meta, _, wkb, values = raw.read(str(refined))
    table = dict(zip(meta["fields"], values, strict=True))
    lines = []
    for thing, shape, agreement in zip(
        things, shapely.from_wkb(wkb), table["agreement"], strict=True
    ):
        east, north = thing.origin
        back = shapely.transform(
            shape, lambda xy, e=east, n=north: np.stack([xy[:, 0] - e, n - xy[:, 1]], -1)
        )
        before, after = (iou(thing.mask, part, thing.size) for part in (thing.rough, back))
        lines.append((size_of(thing.mask.area), before, after, float(agreement)))
    groups = [*sorted({line[0] for line in lines}), "all"]
    return [_row(name, [line for line in lines if name in (line[0], "all")]) for name in groups]


def _row(name: str, lines: Sequence[tuple[str, float, float, float]]) -> dict[str, Any]:
    before, after, agreement = np.array([line[1:] for line in lines]).T
    known = ~np.isnan(agreement)
    ranks = [np.argsort(np.argsort(values[known])) for values in (agreement, after)]
    return {
        "size": name,
        "objects": len(lines),
        "IoU before": float(before.mean()),
        "IoU after": float(after.mean()),
        "better": int((after > before).sum()),
        "worse by .05": int((after < before - 0.05).sum()),
        "rank correlation of agreement and IoU": (
            float(np.corrcoef(ranks).flat[1]) if known.sum() > 2 else None
        ),
    }


def iou(mask: Mask, shape: BaseGeometry, size: tuple[int, int]) -> float:
    """Of an object's pixels with those of an outline within the picture."""
    other = geometry.rasterise(shape, *size)
    shared = mask.shared(other)
    return shared / (mask.area + other.area - shared)


if __name__ == "__main__":
    run_main(main)
