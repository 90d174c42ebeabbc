"""Rasters: opening, looking at them, and how they are shown."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from rsisrefiner_jax.annotate import tiles
from rsisrefiner_jax.annotate.context import Context, Here
from rsisrefiner_jax.annotate.receiving import body_with_file
from rsisrefiner_jax.annotate.replies import ImageOut, PointOut, StretchOut
from rsisrefiner_jax.annotate.requests import Crs, Number, PathIn, RecipeIn
from rsisrefiner_jax.annotate.views import image_out, recipe_hash
from rsisrefiner_jax.data.project.records import Image
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import georeference

router = APIRouter(prefix="/images", tags=["images"])
ImageId = Annotated[int, Path(ge=1, lt=2**53)]
Small = Annotated[int, Path(ge=0, lt=2**31)]

_PATH = {"application/json": {"schema": PathIn.model_json_schema()}}


@router.post("", openapi_extra=body_with_file(_PATH))
async def add(request: Request, here: Here, afterwards: BackgroundTasks) -> ImageOut:
    """Opens a raster: {"path"} under one of the roots, or a multipart upload called "file"."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with here.receiver.receive(request, keep=True) as sent:
            image = await run_in_threadpool(here.project.add_upload, sent.name, sent.content)
    else:
        try:
            path = PathIn.model_validate(await request.json()).path
        except (ValidationError, ValueError, RecursionError) as error:
            raise UserError('send {"path": "..."} as JSON, or a multipart field "file"') from error
        image = await run_in_threadpool(_open, here, path)
    afterwards.add_task(here.project.files.remember, image.id)
    return await run_in_threadpool(image_out, here.project, image)


def _open(here: Context, path: str) -> Image:
    return here.project.add_image(here.project.roots.resolve(path))


@router.get("/{id}")
def one(id: ImageId, here: Here) -> ImageOut:
    """An image: its size, bands, georeference and how it is shown."""
    return image_out(here.project, here.project.image(id))


@router.post("/{id}/accept")
def accept(id: ImageId, here: Here, afterwards: BackgroundTasks) -> ImageOut:
    """Takes the file as it is now, after it was changed; objects and clicks stay in their pixels.

    What earlier clicks came to stays; the next one is computed with them on the new pixels.
    """
    image = here.project.files.accept(id)
    afterwards.add_task(here.project.files.remember, id)
    return image_out(here.project, image)


@router.put("/{id}/recipe")
def recipe(id: ImageId, given: RecipeIn, here: Here) -> ImageOut:
    """Sets how an image is shown, which is what the model sees, too."""
    return image_out(here.project, here.project.set_recipe(id, given.model_dump()))


@router.get("/{id}/stretch")
def stretch(id: ImageId, here: Here) -> StretchOut:
    """The values that are shown black and white, and those left out as no data. Of a large raster
    this may take seconds at first."""
    image = here.project.image(id)
    with here.readers:
        found = here.project.source(image).stretch(image.recipe)
    limits = None if found.limits is None else list(found.limits)
    return StretchOut(limits=limits, fill=list(found.fill))


@router.get(
    "/{id}/tiles/{level}/{column}/{row}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
def tile(
    id: ImageId,
    level: Small,
    column: Small,
    row: Small,
    here: Here,
    v: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """A tile as PNG. With ?v=recipe_hash it may be kept for good."""
    image = here.project.image(id)
    source = here.project.source(image)
    current = recipe_hash(here.project, image)
    key = (current, level, column, row)
    png = here.tiles.get(key)
    if png is None:
        with here.readers:
            png = tiles.encode(source, image.recipe, level, column, row)
        here.tiles.put(key, png)
    keep = "private, max-age=31536000, immutable" if v == current else "no-cache"
    return Response(png, media_type="image/png", headers={"Cache-Control": keep})


@router.get("/{id}/point")
def point(id: ImageId, x: Number, y: Number, here: Here, crs: Crs | None = None) -> PointOut:
    """The coordinates of a pixel and the values of its bands; null outside the image."""
    image = here.project.image(id)
    info = image.info
    if crs is not None:
        x, y = georeference.pixels_of(info, crs, x, y)
    placed = georeference.place(info, x, y)
    values = None
    if 0 <= x < info.width and 0 <= y < info.height:
        with here.readers:
            values = here.project.source(image).values(int(x), int(y))
    return PointOut(
        x=x,
        y=y,
        crs=info.crs,
        coordinates=placed,
        lonlat=georeference.lonlat(info, x, y),
        values=values,
    )
