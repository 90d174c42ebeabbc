"""What requests and replies look like."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Id = Annotated[int, Field(ge=1, lt=2**53)]
Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
Huge = Annotated[float, Field(allow_inf_nan=False)]
Pixel = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Scalar = (
    bool
    | Annotated[int, Field(ge=-(2**53), le=2**53)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=4000)]
    | None
)
Attributes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Scalar], Field(max_length=64)
]
Key = Annotated[str, Field(min_length=1, max_length=200)]
Crs = Annotated[str, Field(min_length=1, max_length=4000)]
Base64 = Annotated[str, Field(min_length=1)]
PIXELS = "in pixels from the outer edge of the first one, whose middle is at 0.5"
MASK = (
    "base64 of a PNG of 0 and 1, or 0 and 255, which is the object; grey, or three equal channels"
)
X = Annotated[Number, Field(description=f"to the right, {PIXELS}; with crs: to the east")]
Y = Annotated[Number, Field(description=f"downwards, {PIXELS}; with crs: to the north")]
BoxIn = Annotated[
    tuple[Number, Number, Number, Number] | None,
    Field(
        description="x0, y0, x1, y1: where to look first, with a positive click in its middle; it "
        "does not limit the object"
    ),
]
Window = tuple[int, int, int, int]
Bounds = Annotated[
    tuple[float, float, float, float], Field(description="left, top, right, bottom, in pixels")
]
Outline = Annotated[
    dict[str, Any],
    Field(description="GeoJSON Polygon or MultiPolygon, which is cut to the image"),
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


class Given(BaseModel):
    """A request's body: nothing unknown in it."""

    model_config = ConfigDict(extra="forbid")


class ClassIn(Given):
    id: Id | None = None
    name: Name
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#e6194b"
    shortcut: Annotated[str, Field(max_length=20)] | None = None


class PathIn(Given):
    path: Annotated[str, Field(min_length=1, max_length=4000)]


class RecipeIn(Given):
    bands: Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(max_length=3)] = []
    percentiles: tuple[Number, Number] = (2.0, 98.0)
    stretch_8bit: bool | None = None
    fill: Annotated[list[Huge], Field(max_length=10)] | None = Field(
        None,
        description="values that no file declares as no data and that the percentiles leave out; "
        "null: what looks like it",
    )


class Placed(Given):
    """crs: of the coordinates given and of the outline replied; without it both are in pixels.
    Clicks, boxes and windows are replied in pixels always."""

    crs: Crs | None = None


class ObjectPatch(Placed):
    class_id: Id | None = None
    attributes: Attributes = {}
    geometry: Outline = {}


class StepIn(Placed):
    """key: chosen by the client; a request that is sent again with the same one happens once."""

    key: Key | None = None


class ObjectIn(StepIn):
    geometry: Outline
    class_id: Id | None = None
    attributes: Attributes = {}


class SessionIn(StepIn):
    image_id: Id
    object_id: Id | None = None
    box: BoxIn = None


class ClickIn(StepIn):
    x: X
    y: Y
    positive: bool = True


class MaskIn(StepIn):
    """Either a png, whose first pixel goes to column x and row y of the image, or a geometry."""

    x: Pixel = 0
    y: Pixel = 0
    png: Base64 | None = Field(None, description=MASK)
    geometry: Outline | None = Field(None, description="GeoJSON, as that of an object")
    mode: Literal["replace", "add", "subtract"] = Field(
        "replace", description="replace what is there, add to it or subtract from it"
    )


class FinishIn(Placed):
    """overwrite: also when the refined object was changed or deleted meanwhile."""

    class_id: Id | None = None
    attributes: Attributes | None = None
    overwrite: bool = False


class EditIn(StepIn):
    """edit: the one that is meant; refused when it is not next."""

    edit: Id | None = None


class Point(Given):
    x: X
    y: Y
    positive: bool = True


class PredictIn(Placed):
    image_id: Id | None = None
    path: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    image: Base64 | None = None
    clicks: Annotated[list[Point], Field(max_length=200)] = []
    box: BoxIn = None
    prev_mask: Base64 | None = Field(
        None, description=f"the mask that the clicks correct, as large as the image: {MASK}"
    )


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


class ObjectOut(BaseModel):
    id: int
    class_id: int | None
    attributes: dict[str, Any]
    area_px: int
    area_m2: float | None
    clicks: int
    bbox: Bounds
    geometry: Shape


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


class ExportIn(Given):
    format: Annotated[str, Field(max_length=40)]
    simplify: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0
    rectangles: bool = False


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
