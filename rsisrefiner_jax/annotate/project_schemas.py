"""What requests and replies about the project as a whole look like."""

from pydantic import BaseModel

from rsisrefiner_jax.annotate.replies import ClassOut
from rsisrefiner_jax.annotate.requests import Given, Name


class ImageName(BaseModel):
    id: int
    name: str


class ModelOut(BaseModel):
    """ready: clicks are computed at once. error: why they never will be."""

    name: str
    image_size: int | None
    ready: bool
    error: str | None


class NetworkIn(Given):
    name: Name


class NetworkOut(BaseModel):
    """note: what is known of it, in a line. own: it lies in the project's folder."""

    name: str
    note: str
    own: bool
    in_use: bool


class ProjectOut(BaseModel):
    """networks: those that may be used, the project's own first, the newest of them before."""

    id: str
    name: str
    images: list[ImageName]
    classes: list[ClassOut]
    model: ModelOut
    networks: list[NetworkOut]
    version: str


class IntervalOut(BaseModel):
    """Of a total: what is expected, and its 95 % interval."""

    mean: float
    low: float
    high: float


class ForecastOut(BaseModel):
    """finished: objects that it is drawn from, with what they took each."""

    finished: int
    clicks_each: float
    seconds_each: float
    remaining: int
    clicks: IntervalOut
    hours: IntervalOut
