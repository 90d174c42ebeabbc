"""What a client points at, as what the segmenter is asked: clicks and a box, checked, in pixels."""

from collections.abc import Sequence

from rsisrefiner_jax.annotate.segmenter import Picture, SegmentationTask
from rsisrefiner_jax.annotate.windows import Box, Click, require_inside, require_reach
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats import georeference
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import Raster


def segmentation_task(
    picture: Picture,
    clicks: Sequence[Click],
    box: Box | None = None,
    start: Mask | None = None,
) -> tuple[SegmentationTask, tuple[Click, ...]]:
    """What a request without a session asks.

    Args:
        clicks: in pixels of the picture; none only where there is a box.
        box: as `box_in_pixels` gives it. It says where to look first, does not limit the object,
            and stands for a positive click in its middle before the others.
        start: the mask that they correct.

    Raises:
        UserError: a click lies outside or too far away, or there is nothing to go by.
    """
    size = picture.width, picture.height
    for click in clicks:
        require_inside(click.x, click.y, size)
    first = () if box is None else (Click(*centre(box), True),)
    whole = (*first, *clicks)
    require(bool(whole), "clicks: give at least one, or a box")
    require_reach(whole, size)
    name = repr(start.encode()) if start else ""
    return SegmentationTask(picture, box, start, name), whole


def in_pixels(info: Raster | None, x: float, y: float, crs: str | None) -> tuple[float, float]:
    """A point of any system, None for pixels, in pixels.

    info: the raster; None for a picture that has no place on the ground.

    Raises:
        UserError: it has no place in the raster's system, or there is no such system.
    """
    if crs is None:
        return x, y
    require(info is not None, "crs: a picture sent has no coordinates but its pixels")
    assert info is not None
    return georeference.pixels_of(info, crs, x, y)


def box_in_pixels(box: Box, size: tuple[int, int], info: Raster | None, crs: str | None) -> Box:
    """A box (x0, y0, x1, y1) of any system as (left, top, right, bottom) in pixels.

    It is the box around its corners there, cut to a picture of (width, height).

    Raises:
        UserError: it is no box, covers nothing of the picture, or as `in_pixels`.
    """
    x0, y0, x1, y1 = box
    require(
        x0 < x1 and y0 < y1,
        "box: give x0, y0, x1, y1 with x0 < x1 and y0 < y1, not "
        + ", ".join(f"{value:.15g}" for value in box),
    )
    corners = [in_pixels(info, x, y, crs) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    xs, ys = zip(*corners, strict=True)
    width, height = size
    left, right = max(min(xs), 0), min(max(xs), width)
    top, bottom = max(min(ys), 0), min(max(ys), height)
    require(
        left < right and top < bottom,
        f"box: it covers nothing of the image of {width} x {height} pixels",
    )
    return left, top, right, bottom


def centre(box: Box) -> tuple[float, float]:
    """(x, y) of the middle of a box."""
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2
