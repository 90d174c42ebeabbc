"""A mask for clicks in one request, without a session: for the adapters of other tools."""

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from rsisrefiner_jax.annotate import pictures, prompts, rasters
from rsisrefiner_jax.annotate.context import Context, Here
from rsisrefiner_jax.annotate.pictures import RasterPicture
from rsisrefiner_jax.annotate.project import AT_FIRST
from rsisrefiner_jax.annotate.replies import PredictOut, Rle
from rsisrefiner_jax.annotate.requests import PredictIn
from rsisrefiner_jax.annotate.segmenter import Picture, Segmentation, SegmentationTask
from rsisrefiner_jax.annotate.views import outline
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.data.project.records import Image
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import Mask, compress
from rsisrefiner_jax.formats.raster_info import Raster

router = APIRouter(tags=["predict"])


@router.post("/predict")
async def predict(given: PredictIn, here: Here) -> PredictOut:
    """What clicks come to on an image of the project, a file under a root, or a picture sent.

    A client that sends the same clicks and one more gets its answer at the price of one click.
    """
    here.worker.check()
    picture, info = await run_in_threadpool(_picture, here, given)
    task, clicks = await run_in_threadpool(_task, picture, info, given)
    answer = await here.results.segment(task, clicks)
    return await run_in_threadpool(_reply, answer, info, given.crs)


def _task(
    picture: Picture, info: Raster | None, given: PredictIn
) -> tuple[SegmentationTask, tuple[Click, ...]]:
    size = picture.width, picture.height
    clicks = [
        Click(*prompts.in_pixels(info, point.x, point.y, given.crs), point.positive)
        for point in given.clicks
    ]
    box = given.box and prompts.box_in_pixels(given.box, size, info, given.crs)
    start = None
    if given.prev_mask is not None:
        whole = pictures.mask_sent(given.prev_mask, "prev_mask")
        require(
            (whole.width, whole.height) == size,
            f"prev_mask: {whole.width} x {whole.height} pixels, the image has {size[0]} x "
            f"{size[1]}",
        )
        start = whole.trimmed()
    return prompts.segmentation_task(picture, clicks, box, start)


def _picture(here: Context, given: PredictIn) -> tuple[Picture, Raster | None]:
    sources = [given.image_id, given.path, given.image]
    require(
        sum(source is not None for source in sources) == 1, "give one of image_id, path and image"
    )
    if given.image is not None:
        return pictures.picture_sent(given.image), None
    if given.image_id is not None:
        image: Image = here.project.image(given.image_id)
        source, info, recipe = here.project.source(image), image.info, image.recipe
    else:
        assert given.path is not None
        file = here.project.roots.resolve(given.path)
        info, recipe = rasters.open_checked(file), AT_FIRST
        source = rasters.open_source(file, here.project.cache)
    return RasterPicture(source, recipe), info


def _reply(answer: Segmentation, info: Raster | None, crs: str | None) -> PredictOut:
    mask: Mask = answer.mask
    found = None
    if mask.area:
        shape = geometry.polygons(mask)
        found = outline(info, shape, crs) if info else geometry.to_json(shape)
    return PredictOut(
        x=mask.x,
        y=mask.y,
        w=mask.width,
        h=mask.height,
        mask=Rle(rle=compress(mask.pixels), size=(mask.height, mask.width)),
        geometry=found,
        seconds=answer.seconds,
    )
