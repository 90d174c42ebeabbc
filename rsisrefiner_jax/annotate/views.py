"""The replies of the API, made from the records of the project."""

import hashlib
import math
from typing import Any

from shapely.geometry.base import BaseGeometry

from rsisrefiner_jax.annotate import rasters, tiles
from rsisrefiner_jax.annotate.damage import Damage
from rsisrefiner_jax.annotate.file_identity import fingerprint_of
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.replies import ClickOut, DrawnOut, ImageOut, ObjectOut, SessionOut
from rsisrefiner_jax.annotate.requests import RecipeIn
from rsisrefiner_jax.annotate.session_results import Result
from rsisrefiner_jax.data.project.records import Image, Object, Session
from rsisrefiner_jax.data.project.state import recipe_to
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import geometry, georeference
from rsisrefiner_jax.formats.outlines import Outline, outlines_for_reply
from rsisrefiner_jax.formats.raster_info import Raster


def recipe_hash(project: Project, image: Image) -> str:
    """Changes when the image's tiles do; another one in every project."""
    damage = _damage(project, image)
    known = damage.count if damage else 0
    fingerprint = fingerprint_of(image.path)
    text = repr((project.id, image.id, image.recipe, fingerprint, known))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _damage(project: Project, image: Image) -> Damage | None:
    """The broken blocks of an image's file; None where the file cannot be opened at all."""
    try:
        project.files.info(image)
        return rasters.damage_of(image.path, fingerprint_of(image.path), project.cache)
    except UserError:
        return None


def image_out(project: Project, image: Image) -> ImageOut:
    changed = project.files.changed(image)
    damage = _damage(project, image)
    info = image.info
    nodata = info.nodata
    if nodata is not None and not math.isfinite(nodata):
        nodata = None if math.isnan(nodata) else math.copysign(1.7976931348623157e308, nodata)
    return ImageOut(
        id=image.id,
        name=image.name,
        width=info.width,
        height=info.height,
        bands=list(info.bands),
        dtype=info.dtype,
        crs=info.crs,
        transform=info.transform,
        nodata="nan" if info.nodata is not None and math.isnan(info.nodata) else nodata,
        recipe=RecipeIn(**recipe_to(image.recipe)),
        bands_shown=rasters.bands_shown(info, image.recipe) if damage else [],
        recipe_hash=recipe_hash(project, image),
        tile_size=tiles.SIDE,
        levels=tiles.levels(info.height, info.width),
        pixel_area_m2=georeference.pixel_area_m2(info),
        changed=changed,
        broken=damage.sentence() if damage else None,
        unplaced=info.hint or None if info.transform is None else None,
        placed_by=info.hint or None if info.transform is not None else None,
    )


def outline(info: Raster, shape: BaseGeometry, crs: str | None) -> dict[str, Any]:
    """A shape of pixels as GeoJSON, in a system if one is asked for.

    Raises:
        UserError: there is no such system, or the shape has no place in it.
    """
    (replied,) = outlines_for_reply([shape], info, crs)
    return geometry.to_json(replied)


def object_out(object: Object, crs: str | None = None) -> ObjectOut:
    return ObjectOut(
        id=object.id,
        class_id=object.class_id,
        attributes=object.attributes,
        area_px=object.area_px,
        area_m2=object.area_m2,
        clicks=object.clicks,
        bbox=object.shape.bounds,
        geometry=outline(object.image.info, object.shape, crs),
    )


def drawn_out(object: Object, outline: Outline | None, crs: str | None) -> DrawnOut:
    """An object and what is to be said of the outline that it was given, if any."""
    notes = ["the outline went beyond the image and was cut to it"]
    cut = outline is not None and outline.cut
    return DrawnOut(**object_out(object, crs).model_dump(), notes=notes if cut else [])


def session_out(
    session: Session,
    image: Image,
    result: Result,
    crs: str | None = None,
    outdated: bool = False,
    also_refining: list[int] | None = None,
) -> SessionOut:
    area = result.mask.area
    shape = geometry.polygons(result.mask) if area else None
    return SessionOut(
        id=session.id,
        image_id=session.image_id,
        object_id=session.object_id,
        clicks=[
            ClickOut(x=s.x, y=s.y, positive=s.positive) for s in session.steps if s.mask is None
        ],
        can_undo=bool(session.steps),
        can_redo=bool(session.undone),
        geometry=outline(image.info, shape, crs) if shape is not None else None,
        area_px=area,
        area_m2=georeference.areas_m2(image.info, [shape])[0] if shape is not None else None,
        window=result.window,
        seconds=result.seconds,
        outdated=outdated,
        also_refining=also_refining or [],
    )
