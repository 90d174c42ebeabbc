"""What several kinds of scene share: roads, car parks, fields, lakes, and places for objects."""

from collections.abc import Iterator

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Pose, Surface, blob, box
from rsisrefiner_jax.data.synthetic.objects import draw_vehicle, pick
from rsisrefiner_jax.data.synthetic.structures import FLAT_ROOFS, draw_dashes
from rsisrefiner_jax.data.synthetic.terrain import Palette


def grid(canvas: Canvas, frame: Pose, ahead: float, aside: float) -> Iterator[Pose]:
    """Poses on a grid of steps `ahead` x `aside` metres that lie in or near the picture."""
    reach = canvas.extent * 0.71
    rows, columns = int(reach / ahead) + 1, int(reach / aside) + 1
    for i in range(-rows, rows + 1):
        for j in range(-columns, columns + 1):
            pose = frame.move(i * ahead, j * aside)
            if canvas.sees(pose, max(ahead, aside) / 2):
                yield pose


class Scatter:
    """Random free places for things of a given radius: none overlaps another."""

    def __init__(self, canvas: Canvas):
        self.canvas = canvas
        self.taken: list[tuple[float, float, float]] = []

    def place(self, radius: float, angle: float | None = None, tries: int = 8) -> Pose | None:
        """A pose whose disc of `radius` metres is free, mostly inside the picture, or None."""
        canvas, rng = self.canvas, self.canvas.rng
        reach = radius / canvas.gsd
        for _ in range(tries):
            y, x = rng.uniform(0, canvas.size, 2)
            if all((y - v) ** 2 + (x - u) ** 2 > (reach + r) ** 2 for v, u, r in self.taken):
                self.taken.append((y, x, reach))
                heading = rng.uniform(0, 2 * np.pi) if angle is None else angle
                return Pose(float(y), float(x), heading, 1 / canvas.gsd)
        return None


def cell_at(canvas: Canvas, pose: Pose) -> tuple[int, int]:
    """The canvas pixel at a pose, or the nearest one."""
    limit = canvas.size - 1
    return 2 * int(np.clip(pose.y, 0, limit)), 2 * int(np.clip(pose.x, 0, limit))


def draw_road(
    canvas: Canvas, pose: Pose, palette: Palette, width: float, road: int, traffic: float = 0.3
) -> None:
    """A straight road along the pose, through the whole picture, with vehicles on it."""
    rng, length = canvas.rng, canvas.extent * 1.6
    ends = pose.place(np.array([(-length / 2, 0.0), (length / 2, 0.0)]))
    if rng.random() < 0.7:  # the pavements
        kerb = canvas.add(Surface("", 0.05, 0.05, trees=0.1))
        canvas.band(ends, (width + 4) * pose.scale, palette.concrete, kerb)
    canvas.band(ends, width * pose.scale, palette.asphalt, road)
    if width > 6:
        draw_dashes(canvas, pose, palette, length)
    for side in (-1, 1):
        edge = np.array([(-length / 2, side * width * 0.44), (length / 2, side * width * 0.44)])
        if width > 9:
            canvas.line(pose.place(edge), max(0.15 * pose.scale, 0.5), palette.marking * 0.9)
        at = -length / 2
        while at < length / 2:
            at += rng.uniform(8, 12 + 20 / max(traffic, 0.05))
            spot = pose.move(at, side * width * 0.24, 0 if side > 0 else np.pi)
            if canvas.sees(spot, 3):
                draw_vehicle(canvas, spot, truck=rng.random() < 0.2)


def draw_parking(
    canvas: Canvas, pose: Pose, palette: Palette, length: float, width: float, full: float = 0.6
) -> None:
    """A car park: rows of bays along the pose, `full` of them taken."""
    rng = canvas.rng
    lot = canvas.add(Surface("", 0.03, 0.035, trees=0.02))
    canvas.fill([pose.place(box(length, width))], [palette.asphalt * 1.08], lot)
    bay, pitch = 2.7, 17.0
    for row in range(max(int(width / pitch), 1)):
        middle = (row + 0.5) * pitch - max(int(width / pitch), 1) * pitch / 2
        for half in (-1, 1):
            aside = middle + half * 2.7
            for at in np.arange(-length / 2 + 3, length / 2 - 3, bay):
                spot = pose.move(at, aside)
                if not canvas.sees(spot, 3):
                    continue
                mark = box(0.14, 5.0, bay / 2)
                canvas.paint(spot.place(mark), palette.marking * 0.9)
                if rng.random() < full:
                    turn = np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.03)
                    draw_vehicle(canvas, spot.move(0, rng.normal(0, 0.2), turn))


def draw_distractors(canvas: Canvas, amount: int, largest: float) -> None:
    """Patches, crates and stains coloured like objects: distractors, part of the background."""
    rng = canvas.rng
    for _ in range(amount):
        y, x = rng.uniform(0, canvas.size, 2)
        pose = Pose(float(y), float(x), rng.uniform(0, 6.28), 1 / canvas.gsd)
        length, width = rng.uniform(0.2, 1, 2) * largest
        outline = blob(rng, length, width, 0.5, 24) if rng.random() < 0.4 else box(length, width)
        under = canvas.rgb[int(2 * y), int(2 * x)].astype(float)
        strength = rng.uniform(0.05, 0.5)
        canvas.paint(pose.place(outline), under + strength * (pick(rng, FLAT_ROOFS) - under))


def draw_fields(canvas: Canvas, frame: Pose, palette: Palette, area: float, gap: float) -> None:
    """Fields of about `area` m² over the whole picture, `gap` metres of track between them."""
    rng, reach = canvas.rng, canvas.extent * 1.5
    crops = np.stack([palette.grass, palette.soil, palette.leaves * 1.3, palette.sand * 0.9])
    for parcel in split_land(rng, box(reach, reach), area):
        centre = parcel.mean(0)
        if not canvas.sees(frame.move(*centre), np.abs(parcel - centre).max()):
            continue
        inset = np.maximum(1 - gap / np.abs(parcel - centre).max(), 0.5)
        outline = frame.place(centre + (parcel - centre) * inset)
        ahead = parcel[1] - parcel[0]
        furrows = rng.uniform(0.02, 0.14) if rng.random() < 0.7 else 0.0
        angle = frame.angle + np.arctan2(ahead[1], ahead[0]) + np.pi / 2
        period = rng.uniform(3, 14)
        first, second = crops[rng.integers(len(crops), size=2)]
        colour = (first + rng.uniform(0, 0.5) * (second - first)) * rng.uniform(0.8, 1.2)
        field = Surface("field", 0.05, rng.uniform(0.03, 0.08), furrows, period, angle)
        canvas.fill([outline], [colour], canvas.add(field))


def split_land(rng: np.random.Generator, polygon: np.ndarray, area: float) -> Iterator[np.ndarray]:
    """Cuts a convex polygon [n, 2] metres into convex parcels of about `area` m²."""
    y, x = polygon.T
    size = 0.5 * abs(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1)))
    if size < area * rng.uniform(1, 2.5) or len(polygon) > 12:
        yield polygon
        return
    centred = polygon - polygon.mean(0)
    long = np.linalg.svd(centred, full_matrices=False)[2][0]
    tilt = rng.normal(0, 0.12)
    normal = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]) @ long
    offset = (centred @ normal) - rng.uniform(-0.2, 0.2) * np.abs(centred @ long).max()
    for sign in (-1, 1):
        part = _clip(polygon, offset * sign)
        if len(part) >= 3:
            yield from split_land(rng, part, area)


def _clip(polygon: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The part of a convex polygon where `offset` [n], linear over it, is positive."""
    corners: list[np.ndarray] = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if offset[i] >= 0:
            corners.append(polygon[i])
        if (offset[i] >= 0) != (offset[j] >= 0):
            share = offset[i] / (offset[i] - offset[j])
            corners.append(polygon[i] + share * (polygon[j] - polygon[i]))
    return np.array(corners)


def draw_lake(canvas: Canvas, palette: Palette, pose: Pose, length: float, width: float) -> None:
    """Still water in a bare or reedy margin."""
    rng = canvas.rng
    outline = blob(rng, length, width, rough=rng.uniform(0.3, 0.6))
    margin = canvas.add(Surface("", 0.06, 0.08, trees=0.2))
    rim = outline * (1 + rng.uniform(0.05, 0.25))
    bank = palette.soil if rng.random() < 0.6 else palette.leaves
    canvas.fill([pose.place(rim)], [bank], margin)
    canvas.fill(
        [pose.place(outline)],
        [palette.water * rng.uniform(0.8, 1.2)],
        canvas.add(Surface("water", 0.015, 0.05)),
    )
