"""What requests look like."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
Outline = Annotated[
    dict[str, Any],
    Field(description="GeoJSON Polygon or MultiPolygon, which is cut to the image"),
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


class ExportIn(Given):
    format: Annotated[str, Field(max_length=40)]
    simplify: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0
    rectangles: bool = False
