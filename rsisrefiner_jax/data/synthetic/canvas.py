"""The canvas of a scene: colours, surfaces and shadows, filled by the same polygons."""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

SUPERSAMPLE = 2  # canvas pixels per picture pixel, each way
FRACTION_BITS = 4  # of the coordinates handed to cv2

Colour = Sequence[float] | np.ndarray  # RGB, 0..255


@dataclasses.dataclass(frozen=True)
class Pose:
    """A place and a heading in the picture.

    (y, x): pixels; angle: radians from +x towards +y; scale: pixels per metre.
    """

    y: float
    x: float
    angle: float
    scale: float

    def place(self, points: np.ndarray) -> np.ndarray:
        """float [n, 2] metres (ahead, aside) -> float [n, 2] pixels (y, x)."""
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        return points @ np.array(((sin, cos), (cos, -sin))) + (self.y, self.x)

    def move(self, ahead: float, aside: float, turn: float = 0.0) -> "Pose":
        """The pose `ahead` and `aside` metres away, turned by `turn` radians."""
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        y, x = self.y + ahead * sin + aside * cos, self.x + ahead * cos - aside * sin
        return Pose(y, x, self.angle + turn, self.scale)


@dataclasses.dataclass(frozen=True)
class Surface:
    """What a pixel shows: an object of a category (or background) and its texture.

    grain, mottle, stripe: relative amplitudes of fine noise, coarse noise and parallel stripes.
    period, angle: of the stripes, in pixels and radians. trees: how densely trees grow, 0..1.
    """

    category: str = ""
    grain: float = 0.05
    mottle: float = 0.06
    stripe: float = 0.0
    period: float = 8.0
    angle: float = 0.0
    trees: float = 0.0


class Canvas:
    """A picture in the making.

    rgb:     uint8 [S, S, 3] flat colours, S = SUPERSAMPLE * size.
    surface: uint16 [S, S] indices into `surfaces`.
    shade:   uint8 [S, S], 255 = in the shadow of something.
    sun:     float [2], pixels (y, x) of shadow per metre of height.
    """

    def __init__(
        self, size: int, gsd: float, rng: np.random.Generator, ground: Colour, texture: Surface
    ):
        side = SUPERSAMPLE * size
        azimuth, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.1)
        self.size, self.gsd, self.rng = size, gsd, rng
        self.sun = np.array([np.sin(azimuth), np.cos(azimuth)]) * length / gsd
        self.rgb = np.zeros((side, side, 3), np.uint8)
        cv2.rectangle(self.rgb, (0, 0), (side, side), _scalar(ground), cv2.FILLED)
        self.surface = np.zeros((side, side), np.uint16)
        self.shade = np.zeros((side, side), np.uint8)
        self.surfaces = [texture]

    @property
    def extent(self) -> float:
        """Side of the picture in metres."""
        return self.size * self.gsd

    @property
    def centre(self) -> Pose:
        """The middle of the picture, turned at random."""
        angle = self.rng.uniform(0, 2 * np.pi)
        return Pose(self.size / 2, self.size / 2, angle, 1 / self.gsd)

    def sees(self, pose: Pose, reach: float) -> bool:
        """Whether a thing of radius `reach` metres at `pose` may touch the picture."""
        margin = reach * pose.scale
        return -margin < min(pose.y, pose.x) and max(pose.y, pose.x) < self.size + margin

    def add(self, surface: Surface) -> int:
        """Registers a surface (one object, or one kind of ground) and returns its index."""
        self.surfaces.append(surface)
        return len(self.surfaces) - 1

    def fill(
        self,
        polygons: Sequence[np.ndarray],
        colours: Sequence[Colour],
        surface: int,
        height: float = 0.0,
    ) -> None:
        """Draws convex or flat polygons, pixels [n, 2] (y, x), on top of everything.

        Those with a `height` (metres) must be convex; they throw shadows, none on each other.
        """
        corners = [_fixed(polygon) for polygon in polygons]
        if height > 0:
            self.cast(polygons, height)
        for points, colour in zip(corners, colours, strict=True):
            self._fill(self.rgb, points, _scalar(colour))
            self._fill(self.surface, points, surface)
            self._fill(self.shade, points, 0)

    def cast(self, polygons: Sequence[np.ndarray], height: float) -> None:
        """Lays the shadows of convex polygons `height` metres above ground."""
        for polygon in polygons:
            swept = _fixed(np.concatenate([polygon, polygon + self.sun * height]))
            cv2.fillConvexPoly(self.shade, cv2.convexHull(swept), 255, shift=FRACTION_BITS)

    def paint(self, polygon: np.ndarray, colour: Colour) -> None:
        """Colours a polygon without changing what it belongs to."""
        self._fill(self.rgb, _fixed(polygon), _scalar(colour))

    def line(self, points: np.ndarray, width: float, colour: Colour, closed: bool = False) -> None:
        """Colours a line `width` pixels wide, at least one canvas pixel."""
        self._line(self.rgb, points, width, _scalar(colour), closed)

    def band(self, points: np.ndarray, width: float, colour: Colour, surface: int) -> None:
        """Draws a line `width` pixels wide as a surface of its own, on top of everything."""
        self.line(points, width, colour)
        self._line(self.surface, points, width, surface)
        self._line(self.shade, points, width, 0)

    @staticmethod
    def _fill(target: np.ndarray, points: np.ndarray, value: tuple[float, ...] | int) -> None:
        cv2.fillPoly(target, [points], value, shift=FRACTION_BITS)  # type: ignore[call-overload]

    @staticmethod
    def _line(
        target: np.ndarray,
        points: np.ndarray,
        width: float,
        value: tuple[float, ...] | int,
        closed: bool = False,
    ) -> None:
        thickness = max(round(width * SUPERSAMPLE), 1)
        cv2.polylines(  # type: ignore[call-overload]
            target, [_fixed(points)], closed, value, thickness, shift=FRACTION_BITS
        )


def _fixed(polygon: np.ndarray) -> np.ndarray:
    """Picture pixels (y, x) -> canvas pixels (x, y) in cv2's fixed point."""
    unit = 1 << FRACTION_BITS
    return (polygon[:, ::-1] * (SUPERSAMPLE * unit) + (SUPERSAMPLE - 1) / 2 * unit).astype(np.int32)


def _scalar(colour: Colour) -> tuple[float, ...]:
    """A colour for cv2, which saturates it to 0..255."""
    return tuple(np.asarray(colour, float).tolist())


def box(length: float, width: float, ahead: float = 0.0, aside: float = 0.0) -> np.ndarray:
    """float [4, 2] metres: a rectangle centred on (ahead, aside)."""
    half = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (length / 2, width / 2)
    return half + np.array([ahead, aside])


def circle(radius: float, ahead: float = 0.0, aside: float = 0.0, points: int = 28) -> np.ndarray:
    """float [points, 2] metres: a circle centred on (ahead, aside)."""
    angle = np.arange(points) * (2 * np.pi / points)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius + (ahead, aside)


def blob(
    rng: np.random.Generator, length: float, width: float, rough: float = 0.25, points: int = 72
) -> np.ndarray:
    """float [points, 2] metres: an irregular closed outline of about length x width."""
    angle = np.arange(points) * (2 * np.pi / points)
    waves = np.arange(2, 12)
    phases, heights = (
        rng.uniform(0, 2 * np.pi, 10),
        rng.uniform(0.2, 1.2, 10) * rough * 1.5 / waves**1.2,
    )
    radius = 1 + (np.cos(angle[:, None] * waves + phases) * heights).sum(1)
    radius = np.maximum(radius, 0.3)[:, None]
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius * (length / 2, width / 2)


def sector(radius: float, start: float, stop: float, points: int = 20) -> np.ndarray:
    """float [points + 1, 2] metres: a slice of a disc whose tip is the origin."""
    angle = np.linspace(start, stop, points)
    arc = np.stack([np.cos(angle), np.sin(angle)], 1) * radius
    return np.concatenate([np.zeros((1, 2)), arc])


def stadium(straight: float, radius: float, points: int = 16) -> np.ndarray:
    """float [2 * points, 2] metres: two half circles joined by straights."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, points)
    half = np.stack([np.cos(angle) * radius + straight / 2, np.sin(angle) * radius], 1)
    return np.concatenate([half, -half])
