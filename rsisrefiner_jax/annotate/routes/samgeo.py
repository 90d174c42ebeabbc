"""Clicks and boxes as samgeo's REST server takes them, so that its clients (GeoLibre) work here.

The picture comes whole with every request. It is known again by its content, and clicks that go on
from earlier ones are answered at the price of one (`segmenter.Segmenter`).
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter, ValidationError

from rsisrefiner_jax.annotate import pictures, prompts, rasters, safety
from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.project import AT_FIRST, copy_limited
from rsisrefiner_jax.annotate.receiving import Sent
from rsisrefiner_jax.annotate.refusals import Missing
from rsisrefiner_jax.annotate.requests import Number
from rsisrefiner_jax.annotate.segmenter import Segmentation, SegmentationTask
from rsisrefiner_jax.annotate.views import outline
from rsisrefiner_jax.annotate.windows import Box, Click
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import geometry, label_writing
from rsisrefiner_jax.formats.georeference import WGS84
from rsisrefiner_jax.formats.raster_info import Raster

router = APIRouter(include_in_schema=False)  # the contract is samgeo's

FORMATS = ("geojson", "geotiff", "png")
MOST = 100  # objects of one request, each drawn with a value of its own
Points = Annotated[list[tuple[Number, Number]], Field(max_length=200)]
Labels = Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(max_length=200)]
Boxes = Annotated[list[tuple[Number, Number, Number, Number]], Field(max_length=MOST)]
Count = Annotated[int, Field(ge=-(2**53), le=2**53)]


@dataclasses.dataclass(frozen=True)
class _Asked:
    """tasks: of one object each. smallest, largest: how many pixels those replied may have."""

    info: Raster
    tasks: list[tuple[SegmentationTask, tuple[Click, ...]]]
    smallest: int
    largest: int | None
    format: str


@router.get("/health")
def health() -> dict[str, str]:
    """That it is there."""
    return {"status": "ok", "version": version("rsisrefiner-jax")}


@router.get("/models")
def models(here: Here) -> dict[str, Any]:
    """The network that answers, whatever `model_version` and `model_id` a request names."""
    loaded = [["rsisrefiner", here.networks.in_use.name]] if here.worker.ready else []
    return {"models": {"rsisrefiner": [here.networks.in_use.name]}, "loaded": loaded}


@router.post("/segment/text")
@router.post("/segment/automatic")
def other() -> None:
    """What this network cannot do."""
    raise UserError("this network answers points and boxes; it knows no text and no automatic mode")


@router.post("/segment/predict")
async def predict(request: Request, here: Here) -> Response:
    """The objects that points or boxes mean on the raster of the field `file`.

    All points mean one object, after the box where there is one; without points every box is an
    object. GeoJSON is in WGS 84, and in pixels where the raster has no place on the ground.
    """
    here.worker.check()
    async with here.receiver.receive(request) as sent:
        with tempfile.TemporaryDirectory(prefix="import-", dir=here.project.cache) as folder:
            asked = await run_in_threadpool(_asked, sent, Path(folder))
            answers = [await here.results.segment(*task) for task in asked.tasks]
    return await run_in_threadpool(_reply, asked, answers)


def _asked(sent: Sent, folder: Path) -> _Asked:
    fields = sent.fields
    form = fields.get("output_format") or "geojson"
    require(form in FORMATS, f"output_format: one of {', '.join(FORMATS)}")
    points = _json(fields, "point_coords", Points, [])
    labels = _json(fields, "point_labels", Labels, [1] * len(points))
    boxes = _json(fields, "boxes", Boxes, [])
    require(len(labels) == len(points), "point_labels: give one for each of point_coords")
    require(bool(points or boxes), "give point_coords or boxes")
    require(not points or len(boxes) < 2, "boxes: give one at most together with point_coords")
    kept = folder / safety.safe_name(sent.name)
    with room_for(safety.printable(sent.name)), open(kept, "xb") as out:
        copy_limited(sent.content, out, safety.UPLOAD_LIMIT, sent.name)
    info = rasters.open_checked(kept)
    picture = pictures.SentRaster(kept, info, AT_FIRST, folder)
    crs, size = fields.get("point_crs") or None, (info.width, info.height)
    clicks = [
        Click(*prompts.in_pixels(info, x, y, crs), label == 1)
        for (x, y), label in zip(points, labels, strict=True)
    ]
    placed: list[Box | None] = [prompts.box_in_pixels(box, size, info, crs) for box in boxes]
    largest = _json(fields, "max_size", Count, 0)
    return _Asked(
        info,
        [prompts.segmentation_task(picture, clicks, box) for box in placed or [None]],
        _json(fields, "min_size", Count, 0),
        largest if largest > 0 else None,
        form,
    )


def _json(fields: Mapping[str, str], name: str, kind: Any, default: Any) -> Any:
    """A field that holds JSON. Raises UserError: it is not what it should be."""
    text = fields.get(name)
    if not text:  # as forms send what is left out
        return default
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise UserError(f"{name}: {error.errors()[0]['msg']}") from error


def _reply(asked: _Asked, answers: Sequence[Segmentation]) -> Response:
    most = asked.largest or np.inf
    found = [answer for answer in answers if max(asked.smallest, 1) <= answer.mask.area <= most]
    if not found:
        raise Missing("there is no object at these points or boxes")
    if asked.format == "geojson":
        return JSONResponse(_collection(asked.info, found))
    return _picture(asked.info, found, asked.format)


def _collection(info: Raster, found: Sequence[Segmentation]) -> dict[str, Any]:
    """GeoJSON; `crs` as GDAL writes it, by which clients tell degrees from pixels."""
    crs = WGS84 if info.crs else None
    features = [
        {
            "type": "Feature",
            "properties": {"value": number, "score": answer.score, "area_px": answer.mask.area},
            "geometry": outline(info, geometry.polygons(answer.mask), crs),
        }
        for number, answer in enumerate(found, 1)
    ]
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    return {"type": "FeatureCollection", **({"crs": named} if crs else {}), "features": features}


def _picture(info: Raster, found: Sequence[Segmentation], form: str) -> Response:
    """An image of the raster's size, 8-bit: 0, and 1, 2, ... for the objects."""
    from rasterio.io import MemoryFile

    require(
        info.width * info.height <= pictures.SENT_LIMIT,
        f"output_format: {info.width} x {info.height} pixels are too many for a {form}; ask for "
        "geojson",
    )
    pixels = np.zeros((info.height, info.width), np.uint8)
    for number, answer in enumerate(found, 1):
        pixels[answer.mask.within(0, 0, info.width, info.height)] = number
    if form == "png":
        return Response(pictures.png(pixels), media_type="image/png")
    with MemoryFile() as memory:
        with memory.open(**label_writing.profile(info, "uint8", 1)) as file:
            file.write(pixels, 1)
        return Response(memory.read(), media_type="image/tiff")
