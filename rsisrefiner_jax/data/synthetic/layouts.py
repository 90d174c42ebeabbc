"""What lies where: one function per kind of scene."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Colour, Pose, Surface, blob, box, circle
from rsisrefiner_jax.data.synthetic.objects import draw_plane, draw_ship, draw_vehicle, pick
from rsisrefiner_jax.data.synthetic.structures import (
    FLAT_ROOFS,
    draw_block,
    draw_bridge,
    draw_court,
    draw_dashes,
    draw_diamond,
    draw_house,
    draw_pool,
    draw_tank,
    draw_track,
)
from rsisrefiner_jax.data.synthetic.terrain import Palette, draw_palette

REFERENCE_SIZE = 384  # pixels, the picture that the GSD ranges below are made for


@dataclasses.dataclass(frozen=True)
class Layout:
    """A kind of scene. gsd: range of ground sample distance, metres per pixel."""

    draw: Callable[[Canvas, Palette], None]
    gsd: tuple[float, float]
    ground: str  # a colour of the palette
    texture: Surface


def draw_layout(rng: np.random.Generator, size: int) -> tuple[Canvas, Palette]:
    """A flat drawing of a random scene `size` pixels wide, and its colours."""
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    palette = draw_palette(rng)
    low, high = np.log(layout.gsd)
    # A smaller picture shows both less ground and smaller objects.
    gsd = float(np.exp(rng.uniform(low, high)) * np.sqrt(REFERENCE_SIZE / size))
    canvas = Canvas(size, gsd, rng, getattr(palette, layout.ground), layout.texture)
    layout.draw(canvas, palette)
    return canvas, palette


# ---- the parts that layouts share


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
    lot = canvas.add(Surface("", 0.04, 0.06, trees=0.02))
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


def draw_litter(canvas: Canvas, amount: int, largest: float) -> None:
    """Patches, crates and stains coloured like objects: distractors, part of the background."""
    rng = canvas.rng
    for _ in range(amount):
        y, x = rng.uniform(0, canvas.size, 2)
        pose = Pose(float(y), float(x), rng.uniform(0, 6.28), 1 / canvas.gsd)
        length, width = rng.uniform(0.2, 1, 2) * largest
        outline = blob(rng, length, width, 0.5, 24) if rng.random() < 0.6 else box(length, width)
        under = canvas.rgb[int(2 * y), int(2 * x)].astype(float)
        strength = rng.uniform(0.1, 0.6)
        canvas.paint(pose.place(outline), under + strength * (pick(rng, FLAT_ROOFS) - under))


def split_land(
    rng: np.random.Generator, polygon: np.ndarray, area: float
) -> Iterator[np.ndarray]:
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


def draw_fields(canvas: Canvas, frame: Pose, palette: Palette, area: float, gap: float) -> None:
    """Fields of about `area` m² over the whole picture, `gap` metres of track between them."""
    rng, reach = canvas.rng, canvas.extent * 1.5
    crops = np.stack([palette.grass, palette.soil, palette.leaves * 1.3, palette.sand * 0.9])
    for parcel in split_land(rng, box(reach, reach), area):
        centre = parcel.mean(0)
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


# ---- the kinds of scene


def residential(canvas: Canvas, palette: Palette) -> None:
    rng, frame = canvas.rng, canvas.centre
    width, depth = rng.uniform(6, 9), rng.uniform(24, 34)
    lot = rng.uniform(15, 26)
    road = canvas.add(Surface("road", 0.04, 0.05))
    streets = [
        frame.move(0, k * (width + 2 * depth) + rng.uniform(-3, 3))
        for k in range(-8, 9)
        if abs(k) * (width + 2 * depth) < canvas.extent * 0.75
    ]
    draw_litter(canvas, 25, 7)
    for street in streets:
        draw_road(canvas, street, palette, width, road, traffic=0.25)
    if rng.random() < 0.6:
        crossing = frame.move(rng.uniform(-0.3, 0.3) * canvas.extent, 0, np.pi / 2)
        draw_road(canvas, crossing, palette, width, road, traffic=0.15)
    for street in streets:
        for at in np.arange(-canvas.extent, canvas.extent, lot):
            for side in (-1, 1):
                home = street.move(at, side * (width / 2 + depth * 0.42), np.pi * (side < 0))
                if canvas.sees(home, 10) and canvas.surface[_cell(canvas, home)] == 0:
                    _home(canvas, palette, home, lot, depth)


def _cell(canvas: Canvas, pose: Pose) -> tuple[int, int]:
    """The canvas pixel at a pose, or the nearest one."""
    limit = canvas.size - 1
    return 2 * int(np.clip(pose.y, 0, limit)), 2 * int(np.clip(pose.x, 0, limit))


def _home(canvas: Canvas, palette: Palette, pose: Pose, lot: float, depth: float) -> None:
    """A house on its lot; the street lies at negative `aside`."""
    rng = canvas.rng
    if rng.random() < 0.7:  # the drive, sometimes with a car
        at = lot * rng.choice([-0.42, 0.42])
        drive = canvas.add(Surface("", 0.04, 0.05))
        strip = pose.place(box(3.4, depth * 0.42, at, -depth * 0.2))
        canvas.fill([strip], [palette.concrete * rng.uniform(0.85, 1.05)], drive)
        if rng.random() < 0.5:
            turn = np.pi / 2 * rng.choice([-1, 1])
            draw_vehicle(canvas, pose.move(at, -depth * 0.18, turn))
    length, width = lot * rng.uniform(0.5, 0.72), rng.uniform(7.5, 12)
    turn = rng.choice([0, 0, np.pi / 2]) + rng.normal(0, 0.02)
    if turn > 1:
        length, width = width * 1.25, length * 0.85
    draw_house(canvas, pose.move(rng.uniform(-1, 1), rng.uniform(-1, 2), turn), length, width)
    spot = pose.move(lot * rng.uniform(-0.25, 0.25), depth * 0.4)
    choice = rng.random()
    if choice < 0.2:
        draw_pool(canvas, spot, rng.uniform(6, 11))
    elif choice < 0.45:
        draw_house(canvas, spot, rng.uniform(3.5, 6), rng.uniform(3, 4))


def city(canvas: Canvas, palette: Palette) -> None:
    rng, frame = canvas.rng, canvas.centre
    ahead, aside = rng.uniform(70, 130), rng.uniform(50, 90)
    width = rng.uniform(10, 16)
    road = canvas.add(Surface("road", 0.03, 0.05))
    for k in range(-6, 7):
        if abs(k) * aside < canvas.extent * 0.8:
            street = frame.move(0, (k + 0.5) * aside)
            draw_road(canvas, street, palette, width, road, traffic=0.6)
    for k in range(-6, 7):
        if abs(k) * ahead < canvas.extent * 0.8:
            street = frame.move((k + 0.5) * ahead, 0, np.pi / 2)
            draw_road(canvas, street, palette, width, road, traffic=0.4)
    draw_litter(canvas, 20, 10)
    tall = rng.uniform(6, 35)
    for block in grid(canvas, frame, ahead, aside):
        length, depth = ahead - width - 8, aside - width - 8
        kind = rng.random()
        if kind < 0.14:
            draw_parking(canvas, block, palette, length, depth)
        elif kind < 0.24:
            park = canvas.add(Surface("", 0.07, 0.09, trees=0.7))
            canvas.fill([block.place(box(length, depth))], [palette.grass], park)
        else:
            parts = int(rng.integers(1, 4))
            for k in range(parts):
                at = (k + 0.5) / parts * length - length / 2
                size = length / parts * rng.uniform(0.7, 0.9), depth * rng.uniform(0.55, 0.95)
                height = tall * rng.uniform(0.3, 1.2)
                draw_block(canvas, block.move(at, rng.uniform(-2, 2)), *size, height)


def farmland(canvas: Canvas, palette: Palette) -> None:
    rng, frame = canvas.rng, canvas.centre
    area = (canvas.extent**2) / rng.uniform(6, 22)
    draw_fields(canvas, frame, palette, area, rng.uniform(3, 9) * canvas.gsd)
    draw_litter(canvas, 8, canvas.extent / 20)
    scatter = Scatter(canvas)
    for _ in range(rng.integers(0, 4)):  # ponds and copses
        length = canvas.extent * rng.uniform(0.06, 0.2)
        if (spot := scatter.place(length)) is None:
            continue
        if rng.random() < 0.5:
            _lake(canvas, palette, spot, length * 1.5, length)
        else:
            copse = canvas.add(Surface("", 0.08, 0.1, trees=1.0))
            outline = spot.place(blob(rng, length * 1.6, length))
            canvas.fill([outline], [palette.leaves], copse)
    road = canvas.add(Surface("road", 0.04, 0.05))
    if rng.random() < 0.7:
        shift = rng.uniform(-0.3, 0.3) * canvas.extent
        draw_road(canvas, frame.move(0, shift), palette, rng.uniform(5, 9), road, 0.1)
    for _ in range(rng.integers(0, 6)):
        if (spot := scatter.place(18, frame.angle)) is not None:
            draw_house(canvas, spot, rng.uniform(14, 40), rng.uniform(9, 16))


def _lake(canvas: Canvas, palette: Palette, pose: Pose, length: float, width: float) -> None:
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


def lakes(canvas: Canvas, palette: Palette) -> None:
    rng, scatter = canvas.rng, Scatter(canvas)
    draw_litter(canvas, 40, canvas.extent / 6)
    for _ in range(rng.integers(7, 22)):
        length = canvas.extent * rng.uniform(0.06, 0.26)
        if (spot := scatter.place(length * 0.55)) is not None:
            _lake(canvas, palette, spot, length, length * rng.uniform(0.4, 0.9))
    if rng.random() < 0.5:
        road = canvas.add(Surface("road", 0.04, 0.05))
        ahead = canvas.extent * np.linspace(-0.8, 0.8, 20)
        bend = canvas.extent * rng.uniform(0.02, 0.1) * np.sin(ahead / canvas.extent * 7)
        path = canvas.centre.place(np.stack([ahead, bend], 1))
        canvas.band(path, rng.uniform(5, 10), palette.sand, road)


def river(canvas: Canvas, palette: Palette) -> None:
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    if rng.random() < 0.6:
        draw_fields(canvas, frame, palette, extent**2 / rng.uniform(10, 30), 4 * canvas.gsd)
    draw_litter(canvas, 30, extent / 8)
    ahead = np.linspace(-0.8, 0.8, 60) * extent
    swing, pace, phase = rng.uniform(0.03, 0.14), rng.uniform(3, 8), rng.uniform(0, 6.3, 3)
    middle = swing * extent * np.sin(pace * ahead / extent + phase[0])
    middle += 0.3 * swing * extent * np.sin(2.3 * pace * ahead / extent + phase[1])
    width = extent * rng.uniform(0.2, 0.5)
    half = width / 2 * (1 + 0.2 * np.sin(6 * ahead / extent + phase[2]))
    shore = half + rng.uniform(0.01, 0.06) * extent

    def course(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        banks = np.stack([ahead, middle - left], 1), np.stack([ahead, middle + right], 1)
        return frame.place(np.concatenate([banks[0], banks[1][::-1]]))

    bank = canvas.add(Surface("", 0.06, 0.1, trees=0.3))
    canvas.fill([course(shore, shore * rng.uniform(0.9, 1.3))], [palette.sand * 0.95], bank)
    water = canvas.add(Surface("water", 0.012, 0.04, 0.01, 5, frame.angle))
    canvas.fill([course(half, half)], [palette.water], water)
    for _ in range(rng.integers(4, 13)):
        k = int(rng.integers(6, 54))
        length = width * rng.uniform(0.15, 0.9)
        aside = middle[k] + half[k] * rng.uniform(-0.8, 0.8)
        turn = np.arctan2(middle[k + 1] - middle[k - 1], ahead[k + 1] - ahead[k - 1])
        _sandbar(canvas, palette, frame.move(ahead[k], aside, turn), length)
    if rng.random() < 0.5:
        k = int(rng.integers(15, 45))
        across = frame.move(ahead[k], 0, np.pi / 2)
        lanes = max(rng.uniform(8, 22), 9 * canvas.gsd)
        road = canvas.add(Surface("road", 0.04, 0.05))
        draw_road(canvas, across, palette, lanes * 0.85, road, traffic=0)
        span = 2 * shore[k] + 0.04 * extent
        draw_bridge(canvas, across.move(middle[k], 0), palette, span, lanes)
    for _ in range(rng.integers(0, 4)):
        k = int(rng.integers(8, 52))
        boat = frame.move(ahead[k], middle[k] + half[k] * rng.uniform(-0.5, 0.5))
        if canvas.surface[_cell(canvas, boat)] == water:
            foam = palette.water * 0.7 + 60
            draw_ship(canvas, boat, max(rng.uniform(10, 50), 20 * canvas.gsd), foam)


def _sandbar(canvas: Canvas, palette: Palette, pose: Pose, length: float) -> None:
    """A bank of sand in a river, in shallows that are not part of it."""
    rng = canvas.rng
    outline = blob(rng, length, length * rng.uniform(0.2, 0.55), rough=rng.uniform(0.35, 0.8))
    shallows = canvas.add(Surface("", 0.02, 0.06))
    tint = palette.water * 0.72 + palette.sand * 0.28
    canvas.fill([pose.place(outline * rng.uniform(1.08, 1.35))], [tint], shallows)
    sand = palette.sand * rng.uniform(0.75, 1.1)
    thing = canvas.add(Surface("sandbar", 0.05, 0.09, trees=0.15 * rng.random()))
    canvas.fill([pose.place(outline)], [sand], thing)
    for _ in range(3):  # damp and overgrown patches on it
        spot = pose.move(*(rng.uniform(-0.2, 0.2, 2) * length))
        inside = canvas.surface[_cell(canvas, spot)] == thing
        if inside:
            patch = blob(rng, length * 0.15, length * 0.08, 0.5, 24)
            canvas.paint(spot.place(patch), sand * 0.8 + palette.grass * 0.15)


def airport(canvas: Canvas, palette: Palette) -> None:
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    slab = rng.uniform(6, 15)
    seams = np.arange(-extent, extent, slab)
    joint = palette.concrete * rng.uniform(0.86, 0.95)
    for at in seams:
        canvas.line(frame.place(np.array([(at, -extent), (at, extent)])), 0.5, joint)
        canvas.line(frame.place(np.array([(-extent, at), (extent, at)])), 0.5, joint)
    draw_litter(canvas, 40, 18)
    if rng.random() < 0.5:
        lawn = canvas.add(Surface("", 0.07, 0.09))
        strip = box(extent * 2, extent * 0.3, 0, extent * rng.uniform(0.4, 0.55))
        canvas.fill([frame.place(strip)], [palette.grass], lawn)
    length = float(rng.choice([rng.uniform(9, 16), rng.uniform(28, 45), rng.uniform(45, 72)]))
    length = float(np.clip(length, 34 * canvas.gsd, 0.45 * extent))
    yellow: Colour = (214, 178, 60)
    pitch = length * rng.uniform(1.08, 1.35)
    for row in (-0.32, 0.0, 0.32) if length < extent * 0.25 else (-0.2, 0.26):
        line = frame.move(0, row * extent)
        if rng.random() < 0.35:
            hall = line.move(rng.uniform(-0.3, 0.3) * extent, 0)
            draw_block(canvas, hall, extent * rng.uniform(0.2, 0.5), length * 0.7)
            continue
        path = np.array([(-extent, length * 0.7), (extent, length * 0.7)])
        canvas.line(line.place(path), 0.3 / canvas.gsd, yellow)
        facing = np.pi / 2 * rng.choice([-1, 1]) + rng.choice([0, 0.6])
        for at in np.arange(-extent * 0.7, extent * 0.7, pitch):
            stand = line.move(at + rng.normal(0, 0.03) * length, 0, facing + rng.normal(0, 0.06))
            if canvas.sees(stand, length / 3) and rng.random() < 0.8:
                lead = np.array([(0, 0), (length, 0)])
                canvas.line(stand.place(lead), 0.3 / canvas.gsd, yellow)
                draw_plane(canvas, stand, length * rng.uniform(0.85, 1.05))
                for _ in range(rng.integers(0, 3)):
                    beside = stand.move(*(rng.uniform(-0.5, 0.5, 2) * length), rng.uniform(0, 6))
                    if canvas.surface[_cell(canvas, beside)] == 0:
                        draw_vehicle(canvas, beside, truck=rng.random() < 0.4)


def marina(canvas: Canvas, palette: Palette) -> None:
    """Berths along piers: pleasure boats, or cargo ships at a larger GSD."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    length = float(np.clip(rng.uniform(9, 28) * (canvas.gsd / 0.25), 8, 220))
    quay = rng.uniform(-0.35, 0.05) * extent
    land = canvas.add(Surface("", 0.05, 0.07, trees=0.15))
    shore = frame.place(box(2 * extent, extent, 0, quay - extent / 2))
    canvas.fill([shore], [palette.concrete], land, height=2)
    foam = palette.water * 0.6 + 85
    gap = length * rng.uniform(2.5, 3.6)
    for at in np.arange(-extent * 0.75, extent * 0.75, gap):
        reach = extent * rng.uniform(0.25, 0.55)
        pier = canvas.add(Surface("pier", 0.04, 0.05))
        width = length * rng.uniform(0.12, 0.25)
        deck = palette.concrete * rng.uniform(0.75, 1.1)
        root = frame.move(at, quay)
        canvas.fill([root.place(box(width, reach, 0, reach / 2))], [deck], pier, height=1.5)
        along = rng.random() < 0.4  # moored along the pier, or nose to it
        step = length * (1.15 if along else rng.uniform(0.32, 0.45))
        for out in np.arange(step, reach - step / 2, step):
            for side in (-1, 1):
                away = width / 2 + length * (0.16 if along else 0.52)
                heading = (np.pi / 2 if along else 0.0) + np.pi * rng.integers(2)
                berth = root.move(side * away, out, heading + rng.normal(0, 0.02))
                if rng.random() < 0.7 and canvas.sees(berth, length / 3):
                    draw_ship(canvas, berth, length * rng.uniform(0.75, 1.05))
    _harbour_front(canvas, palette, frame, quay)
    for _ in range(rng.integers(0, 5)):
        boat = frame.move(
            rng.uniform(-0.5, 0.5) * extent,
            quay + extent * rng.uniform(0.45, 0.9),
            rng.uniform(0, 6.3),
        )
        if canvas.surface[_cell(canvas, boat)] == 0:
            draw_ship(canvas, boat, length * rng.uniform(0.7, 1.3), foam)


def _harbour_front(canvas: Canvas, palette: Palette, frame: Pose, quay: float) -> None:
    """Sheds, a road and cars on the land behind the quay."""
    rng, extent = canvas.rng, canvas.extent
    road = canvas.add(Surface("road", 0.04, 0.05))
    if rng.random() < 0.7:
        back = frame.move(0, quay - max(20, extent * 0.08))
        draw_road(canvas, back, palette, 8, road, traffic=0.5)
    depth = extent * rng.uniform(0.1, 0.2)
    for at in np.arange(-extent * 0.7, extent * 0.7, depth * 1.7):
        shed = frame.move(at, quay - extent * 0.12 - depth)
        if rng.random() < 0.8 and canvas.sees(shed, depth):
            draw_block(canvas, shed, depth * rng.uniform(0.8, 1.5), depth * rng.uniform(0.5, 0.9))


def tank_farm(canvas: Canvas, palette: Palette) -> None:
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    radius = float(np.clip(rng.uniform(5, 22), extent * 0.03, extent * 0.12))
    pitch = radius * rng.uniform(2.5, 4)
    draw_litter(canvas, 30, radius * 2)
    path = canvas.add(Surface("road", 0.04, 0.05))
    yard = rng.integers(2, 4)
    draw_road(canvas, frame.move(0, -pitch / 2 * yard), palette, 7, path, 0.2)
    for number, spot in enumerate(grid(canvas, frame, pitch, pitch)):
        size = radius * (rng.uniform(0.55, 0.8) if number % yard == 0 else 1.0)
        kind = rng.random()
        if kind < 0.72 and canvas.surface[_cell(canvas, spot)] == 0:
            if rng.random() < 0.4:
                berm = canvas.add(Surface("", 0.06, 0.07))
                dike = spot.place(box(pitch * 0.9, pitch * 0.9))
                canvas.fill([dike], [palette.soil * rng.uniform(0.85, 1.1)], berm)
                canvas.line(dike, 1.2 / canvas.gsd, palette.concrete * 0.9, closed=True)
            pipe = np.array([(0, 0), (pitch, 0), (pitch, pitch)]) * rng.choice([-1, 1])
            canvas.line(spot.place(pipe), 0.6 / canvas.gsd, palette.concrete * 1.15)
            draw_tank(canvas, spot, size)
        elif kind > 0.86:
            draw_block(canvas, spot, radius * 1.6, radius * rng.uniform(0.8, 1.4))


def sports(canvas: Canvas, palette: Palette) -> None:
    rng, frame, scatter = canvas.rng, canvas.centre, Scatter(canvas)
    draw_litter(canvas, 30, 20)
    wood = canvas.add(Surface("", 0.08, 0.1, trees=1.0))
    edge = frame.move(rng.uniform(-0.2, 0.2) * canvas.extent, -canvas.extent * 0.7)
    grove = blob(rng, 2 * canvas.extent, canvas.extent * 0.8, 0.2)
    canvas.fill([edge.place(grove)], [palette.grass * 0.8], wood)
    if canvas.extent > 150 and rng.random() < 0.75:
        scale = rng.uniform(0.6, 1)
        if (spot := scatter.place(75 * scale, frame.angle)) is not None:
            draw_track(canvas, spot, palette, scale)
    for _ in range(rng.integers(1, 6)):
        if (spot := scatter.place(45)) is not None:
            draw_diamond(canvas, spot.move(-30, 0), palette)
    for _ in range(rng.integers(2, 6)):
        rows = int(rng.integers(1, 5))
        basketball = rng.random() < 0.45
        if (spot := scatter.place(10 * rows + 8, frame.angle)) is None:
            continue
        yard = canvas.add(Surface("", 0.04, 0.05))
        pitch = 19 if basketball else 19.5
        ground = spot.place(box(40, pitch * rows + 3))
        canvas.fill([ground], [palette.asphalt * 1.1 + palette.grass * 0.1], yard)
        for row in range(rows):
            aside = (row - (rows - 1) / 2) * pitch
            draw_court(canvas, spot.move(0, aside), palette, basketball)
    for _ in range(rng.integers(1, 4)):
        if (spot := scatter.place(22, frame.angle)) is not None:
            if rng.random() < 0.4:
                draw_pool(canvas, spot, rng.uniform(15, 30))
            elif rng.random() < 0.5:
                draw_parking(canvas, spot, palette, 36, 22)
            else:
                draw_block(canvas, spot, rng.uniform(18, 40), rng.uniform(12, 24))


def car_park(canvas: Canvas, palette: Palette) -> None:
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    draw_litter(canvas, 15, 5)
    full = rng.uniform(0.3, 0.85)
    draw_parking(canvas, frame, palette, extent * rng.uniform(0.8, 1.5), extent * 0.9, full)
    for _ in range(10):  # islands with a tree or two
        island = canvas.add(Surface("", 0.07, 0.08, trees=0.6))
        spot = frame.move(*(rng.uniform(-0.6, 0.6, 2) * extent))
        canvas.fill([spot.place(circle(rng.uniform(1, 2.2)))], [palette.grass], island)
    if rng.random() < 0.8:
        hall = frame.move(0, extent * rng.choice([-0.5, 0.5]))
        draw_block(canvas, hall, extent * rng.uniform(0.5, 1), extent * 0.3)
    road = canvas.add(Surface("road", 0.04, 0.05))
    side = frame.move(extent * rng.choice([-0.42, 0.42]), 0, np.pi / 2)
    draw_road(canvas, side, palette, rng.uniform(8, 11), road, traffic=0.8)


def junction(canvas: Canvas, palette: Palette) -> None:
    """Roads that meet at a roundabout, a crossing or an overpass."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    draw_litter(canvas, 25, 12)
    scatter = Scatter(canvas)
    for _ in range(14):
        if (spot := scatter.place(14, frame.angle)) is not None:
            draw = draw_house if rng.random() < 0.5 else draw_block
            draw(canvas, spot, rng.uniform(12, 22), rng.uniform(8, 16))
    width = rng.uniform(8, 15)
    road = canvas.add(Surface("road", 0.03, 0.05))
    hub = frame.move(*(rng.uniform(-0.2, 0.2, 2) * extent))
    draw_road(canvas, hub, palette, width, road, traffic=1)
    cross = hub.move(0, 0, np.pi / 2 + rng.normal(0, 0.25))
    kind = rng.random()
    if kind < 0.4:
        draw_bridge(canvas, cross, palette, 2 * extent, width * rng.uniform(0.8, 1.3))
        for at in np.arange(-extent / 2, extent / 2, 24):
            side = rng.choice([-1, 1])
            car = cross.move(at, side * width * 0.2, np.pi * (side < 0))
            draw_vehicle(canvas, car, truck=rng.random() < 0.3)
        return
    draw_road(canvas, cross, palette, width, road, traffic=1)
    if kind < 0.85:
        radius = rng.uniform(13, 24)
        ring = canvas.add(Surface("roundabout", 0.03, 0.04))
        canvas.fill([hub.place(circle(radius, points=40))], [palette.asphalt * 0.95], ring)
        kerb = hub.place(circle(radius * 0.55, points=32))
        canvas.paint(kerb, palette.concrete)
        canvas.paint(hub.place(circle(radius * 0.5, points=32)), palette.grass)
        for _ in range(rng.integers(0, 5)):
            turn = hub.move(0, 0, rng.uniform(0, 6.28))
            draw_vehicle(canvas, turn.move(radius * 0.78, 0, np.pi / 2))


LAWN = Surface("", 0.07, 0.09, trees=0.35)
MEADOW = Surface("", 0.07, 0.1, trees=0.6)
PAVED = Surface("", 0.04, 0.05, trees=0.05)
SEA = Surface("", 0.012, 0.04, 0.008, 5)

LAYOUTS = (
    Layout(residential, (0.15, 0.45), "grass", LAWN),
    Layout(city, (0.2, 0.9), "concrete", PAVED),
    Layout(farmland, (0.5, 2.0), "soil", MEADOW),
    Layout(lakes, (0.8, 3.0), "grass", MEADOW),
    Layout(river, (0.6, 3.0), "grass", MEADOW),
    Layout(airport, (0.2, 1.2), "concrete", Surface("", 0.03, 0.05)),
    Layout(marina, (0.15, 1.5), "water", SEA),
    Layout(tank_farm, (0.25, 1.0), "soil", Surface("", 0.06, 0.08, trees=0.1)),
    Layout(sports, (0.25, 0.9), "grass", LAWN),
    Layout(car_park, (0.08, 0.2), "grass", LAWN),
    Layout(junction, (0.12, 0.4), "grass", LAWN),
)
