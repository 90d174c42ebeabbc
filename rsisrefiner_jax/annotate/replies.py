"""What replies look like."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from rsisrefiner_jax.annotate.requests import RecipeIn

Window = tuple[int, int, int, int]
Bounds = Annotated[
    tuple[float, float, float, float], Field(description="left, top, right, bottom, in pixels")
]


def _geojson(kind: str, depth: int) -> dict[str, Any]:
    """The schema of a GeoJSON geometry whose coordinates are lists of numbers, so many deep."""
    coordinates: dict[str, Any] = {"type": "number"}
    for _ in range(depth):
        coordinates = {"type": "array", "items": coordinates}
    properties = {"type": {"type": "string", "enum": [kind]}, "coordinates": coordinates}
    return {"type": "object", "properties": properties, "required": ["type", "coordinates"]}


# Of a reply, as `geometry.to_json` makes it; looking through every corner of it would take long.
Shape = Annotated[
    dict[str, Any],
    WithJsonSchema({"oneOf": [_geojson("Polygon", 3), _geojson("MultiPolygon", 4)]}),
]


class ClassOut(BaseModel):
    id: int
    name: str
    colour: str
    shortcut: str


class Listing(BaseModel):
    """Paths as POST /api/images and `under` take them."""

    folders: list[str]
    files: list[str]


class ImageOut(BaseModel):
    """changed: how the file differs from the one that was annotated; until that is accepted, no
    click is taken. broken: what of the file cannot be read. unplaced: why it has no georeference
    although it says something of where it lies, and the way out. placed_by: how its georeference
    was found where it states none: from ground control points, and how well they fit."""

    id: int
    name: str
    width: int
    height: int
    bands: list[str]
    dtype: str
    crs: str | None
    transform: tuple[float, float, float, float, float, float] | None
    nodata: float | str | None
    recipe: RecipeIn
    bands_shown: list[int]
    recipe_hash: str
    tile_size: int
    levels: int
    pixel_area_m2: float | None
    changed: str | None
    broken: str | None
    unplaced: str | None
    placed_by: str | None


class StretchOut(BaseModel):
    """limits: of each band that is shown what becomes black and white; null where values are taken
    as they are. fill: values that were left out as no data although the file does not declare
    them."""

    limits: list[tuple[float, float]] | None
    fill: list[float]


class PointOut(BaseModel):
    """x, y: pixels. coordinates: in crs, the raster's own."""

    x: float
    y: float
    crs: str | None
    coordinates: tuple[float, float] | None
    lonlat: tuple[float, float] | None
    values: list[float | None] | None


class ObjectFields(BaseModel):
    id: int
    class_id: int | None
    attributes: dict[str, Any]
    area_px: int
    area_m2: float | None
    clicks: int
    bbox: Bounds


class ObjectOut(ObjectFields):
    geometry: Shape


class FlatShape(BaseModel):
    """flat: x, y, x, y ... of all rings, one after the other. ends: for every part a list of where
    its rings end in flat; the first ring of a part is its border, the others are holes."""

    flat: list[float]
    ends: list[list[int]]


class FlatObjectOut(ObjectFields):
    """An object whose outline is one list of numbers: a browser reads tens of thousands of them
    much quicker than GeoJSON."""

    geometry: FlatShape


class DrawnOut(ObjectOut):
    """notes: what became of the outline that was sent."""

    notes: list[str]


class ClickOut(BaseModel):
    x: float
    y: float
    positive: bool


class Changed(BaseModel):
    """A window of the raster and the mask there, base64 of an 8-bit grey PNG of 0 and 255."""

    x: int
    y: int
    w: int
    h: int
    png: str


class SessionOut(BaseModel):
    """outdated: the refined object was changed or deleted after this began. also_refining: other
    open sessions of that object."""

    id: int
    image_id: int
    object_id: int | None
    clicks: list[ClickOut]
    can_undo: bool
    can_redo: bool
    geometry: Shape | None
    area_px: int
    area_m2: float | None
    window: Window | None = Field(description="where the model looked: x, y, width, height")
    seconds: float | None
    outdated: bool
    also_refining: list[int]


class SteppedOut(SessionOut):
    changed: Changed


class Rle(BaseModel):
    rle: str
    size: tuple[int, int]


class PredictOut(BaseModel):
    x: int
    y: int
    w: int
    h: int
    mask: Rle
    geometry: Shape | None
    seconds: float


class ImportOut(BaseModel):
    """objects: those that came, among them `replaced` ones that took the place of one that was
    there. skipped: what of the file did not come."""

    objects: int
    replaced: int
    skipped: int
    notes: list[str]


class ImportProgressOut(BaseModel):
    """How many objects of the file are read, of how many; total is 0 as long as that is unknown."""

    done: int
    total: int
    seconds_left: float | None


class ImportPreviewOut(BaseModel):
    """What an import would bring. box: around all objects, (left, top, right, bottom) in pixels.
    repeated: how many of them lie on an object that is there (intersection over union of half or
    more); identical: how many of these have exactly its pixels. doubts: why the file may belong
    to another image."""

    objects: int
    skipped: int
    box: tuple[int, int, int, int] | None
    repeated: int
    identical: int
    doubts: list[str]
    notes: list[str]


class ExportOut(BaseModel):
    """done of total steps, which are no more than that; total is 0 as long as it waits. name and
    size (bytes): of the file, once it is there."""

    id: str
    state: Literal["running", "done", "failed", "cancelled"]
    done: int
    total: int
    seconds_left: float | None
    error: str | None
    name: str | None
    size: int | None


class Done(BaseModel):
    ok: Literal[True] = True


class Discarded(Done):
    """edit: for undo, which brings the session back; none where nothing was drawn."""

    edit: int | None


class Edit(BaseModel):
    """Something done to the objects of an image. edit: its number; label: what it was."""

    edit: int
    label: str


class HistoryOut(BaseModel):
    """The edits that undo and redo move next; null where there is none."""

    undo: Edit | None
    redo: Edit | None


class EditOut(Edit):
    """What was undone or done again, and what it is about, as it is now. session: the one that was
    brought back."""

    changed: list[ObjectOut]
    removed: list[int]
    session: SessionOut | None
