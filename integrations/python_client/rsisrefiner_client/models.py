"""What requests and replies look like: the schemas of /api/openapi.json, under their names there.

They are plain dictionaries at run time. Lists of a fixed length are lists as well.
"""

from typing import Any, Literal, NotRequired, TypedDict

Scalar = bool | int | float | str | None


# Requests.


class ClassIn(TypedDict):
    id: NotRequired[int | None]
    name: str
    colour: NotRequired[str]
    shortcut: NotRequired[str | None]


class NetworkIn(TypedDict):
    name: str


class PathIn(TypedDict):
    path: str


class RecipeIn(TypedDict):
    bands: NotRequired[list[int]]
    percentiles: NotRequired[list[float]]
    stretch_8bit: NotRequired[bool | None]
    fill: NotRequired[list[float] | None]


class _Placed(TypedDict):
    crs: NotRequired[str | None]


class ObjectPatch(_Placed):
    class_id: NotRequired[int | None]
    attributes: NotRequired[dict[str, Scalar]]
    geometry: NotRequired[dict[str, Any]]


class StepIn(_Placed):
    key: NotRequired[str | None]


class ObjectIn(StepIn):
    geometry: dict[str, Any]
    class_id: NotRequired[int | None]
    attributes: NotRequired[dict[str, Scalar]]


class SessionIn(StepIn):
    image_id: int
    object_id: NotRequired[int | None]
    box: NotRequired[list[float] | None]


class ClickIn(StepIn):
    x: float
    y: float
    positive: NotRequired[bool]


class MaskIn(StepIn):
    x: NotRequired[int]
    y: NotRequired[int]
    png: NotRequired[str | None]
    geometry: NotRequired[dict[str, Any] | None]
    mode: NotRequired[Literal["replace", "add", "subtract"]]


class FinishIn(_Placed):
    class_id: NotRequired[int | None]
    attributes: NotRequired[dict[str, Scalar] | None]
    overwrite: NotRequired[bool]


class EditIn(StepIn):
    edit: NotRequired[int | None]


class Point(TypedDict):
    x: float
    y: float
    positive: NotRequired[bool]


class PredictIn(_Placed):
    image_id: NotRequired[int | None]
    path: NotRequired[str | None]
    image: NotRequired[str | None]
    clicks: NotRequired[list[Point]]
    box: NotRequired[list[float] | None]
    prev_mask: NotRequired[str | None]


class ExportIn(TypedDict):
    format: str
    simplify: NotRequired[float]
    rectangles: NotRequired[bool]


# Replies.


class ClassOut(TypedDict):
    id: int
    name: str
    colour: str
    shortcut: str


class ImageName(TypedDict):
    id: int
    name: str


class ModelOut(TypedDict):
    name: str
    image_size: int | None
    ready: bool
    error: str | None


class NetworkOut(TypedDict):
    name: str
    note: str
    own: bool
    in_use: bool


class ProjectOut(TypedDict):
    id: str
    name: str
    images: list[ImageName]
    classes: list[ClassOut]
    model: ModelOut
    networks: list[NetworkOut]
    version: str


class IntervalOut(TypedDict):
    mean: float
    low: float
    high: float


class ForecastOut(TypedDict):
    finished: int
    clicks_each: float
    seconds_each: float
    remaining: int
    clicks: IntervalOut
    hours: IntervalOut


class Listing(TypedDict):
    folders: list[str]
    files: list[str]


class ImageOut(TypedDict):
    id: int
    name: str
    width: int
    height: int
    bands: list[str]
    dtype: str
    crs: str | None
    transform: list[float] | None
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


class PointOut(TypedDict):
    x: float
    y: float
    crs: str | None
    coordinates: list[float] | None
    lonlat: list[float] | None
    values: list[float | None] | None


class _ObjectFields(TypedDict):
    id: int
    class_id: int | None
    attributes: dict[str, Any]
    area_px: int
    area_m2: float | None
    clicks: int
    bbox: list[float]


class ObjectOut(_ObjectFields):
    geometry: dict[str, Any]


class FlatShape(TypedDict):
    flat: list[float]
    ends: list[list[int]]


class FlatObjectOut(_ObjectFields):
    geometry: FlatShape


class DrawnOut(ObjectOut):
    notes: list[str]


class ClickOut(TypedDict):
    x: float
    y: float
    positive: bool


class Changed(TypedDict):
    x: int
    y: int
    w: int
    h: int
    png: str


class SessionOut(TypedDict):
    id: int
    image_id: int
    object_id: int | None
    clicks: list[ClickOut]
    can_undo: bool
    can_redo: bool
    geometry: dict[str, Any] | None
    area_px: int
    area_m2: float | None
    window: list[int] | None
    seconds: float | None
    outdated: bool
    also_refining: list[int]


class SteppedOut(SessionOut):
    changed: Changed


class StretchOut(TypedDict):
    limits: list[list[float]] | None
    fill: list[float]


class Rle(TypedDict):
    rle: str
    size: list[int]


class PredictOut(TypedDict):
    x: int
    y: int
    w: int
    h: int
    mask: Rle
    geometry: dict[str, Any] | None
    seconds: float


class ImportOut(TypedDict):
    objects: int
    replaced: int
    skipped: int
    notes: list[str]


class ImportProgressOut(TypedDict):
    done: int
    total: int
    seconds_left: float | None


class ImportPreviewOut(TypedDict):
    objects: int
    skipped: int
    box: list[int] | None
    repeated: int
    identical: int
    doubts: list[str]
    notes: list[str]


class ExportOut(TypedDict):
    id: str
    state: Literal["running", "done", "failed", "cancelled"]
    done: int
    total: int
    seconds_left: float | None
    error: str | None
    name: str | None
    size: int | None


class Done(TypedDict):
    ok: NotRequired[Literal[True]]


class Discarded(Done):
    edit: int | None


class Edit(TypedDict):
    edit: int
    label: str


class HistoryOut(TypedDict):
    undo: Edit | None
    redo: Edit | None


class EditOut(Edit):
    changed: list[ObjectOut]
    removed: list[int]
    session: SessionOut | None
