"""Scenes of open country: fields, lakes, rivers."""

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Pose, Surface, blob
from rsisrefiner_jax.data.synthetic.objects import draw_ship
from rsisrefiner_jax.data.synthetic.shared_features import (
    Scatter,
    cell_at,
    draw_distractors,
    draw_fields,
    draw_lake,
    draw_road,
)
from rsisrefiner_jax.data.synthetic.structures import draw_bridge, draw_house
from rsisrefiner_jax.data.synthetic.terrain import Palette


def farmland(canvas: Canvas, palette: Palette) -> None:
    """Furrowed fields with hedges, ponds, copses, a road and farm buildings."""
    rng, frame = canvas.rng, canvas.centre
    area = (canvas.extent**2) / rng.uniform(6, 22)
    draw_fields(canvas, frame, palette, area, rng.uniform(3, 9) * canvas.gsd)
    draw_distractors(canvas, 8, canvas.extent / 20)
    scatter = Scatter(canvas)
    for _ in range(rng.integers(0, 4)):  # ponds and copses
        length = canvas.extent * rng.uniform(0.06, 0.2)
        if (spot := scatter.place(length)) is None:
            continue
        if rng.random() < 0.5:
            draw_lake(canvas, palette, spot, length * 1.5, length)
        else:
            copse = canvas.add(Surface("", 0.08, 0.1, trees=1.0))
            outline = spot.place(blob(rng, length * 1.6, length))
            canvas.fill([outline], [palette.leaves], copse)
    road = canvas.add(Surface("road", 0.03, 0.035))
    if rng.random() < 0.7:
        shift = rng.uniform(-0.3, 0.3) * canvas.extent
        draw_road(canvas, frame.move(0, shift), palette, rng.uniform(5, 9), road, 0.1)
    for _ in range(rng.integers(0, 6)):
        if (spot := scatter.place(18, frame.angle)) is not None:
            draw_house(canvas, spot, rng.uniform(14, 40), rng.uniform(9, 16))


def lakes(canvas: Canvas, palette: Palette) -> None:
    """Many small lakes in meadows and woods."""
    rng, scatter = canvas.rng, Scatter(canvas)
    draw_distractors(canvas, 20, canvas.extent / 6)
    for _ in range(rng.integers(7, 22)):
        length = canvas.extent * rng.uniform(0.06, 0.26)
        if (spot := scatter.place(length * 0.55)) is not None:
            draw_lake(canvas, palette, spot, length, length * rng.uniform(0.4, 0.9))
    if rng.random() < 0.5:
        road = canvas.add(Surface("road", 0.03, 0.035))
        ahead = canvas.extent * np.linspace(-0.8, 0.8, 20)
        bend = canvas.extent * rng.uniform(0.02, 0.1) * np.sin(ahead / canvas.extent * 7)
        path = canvas.centre.place(np.stack([ahead, bend], 1))
        canvas.band(path, rng.uniform(5, 10), palette.sand, road)


def river(canvas: Canvas, palette: Palette) -> None:
    """A meandering river with sandbars, boats and perhaps a bridge."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    if rng.random() < 0.6:
        draw_fields(canvas, frame, palette, extent**2 / rng.uniform(10, 30), 4 * canvas.gsd)
    draw_distractors(canvas, 16, extent / 8)
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
        road = canvas.add(Surface("road", 0.03, 0.035))
        draw_road(canvas, across, palette, lanes * 0.85, road, traffic=0)
        span = 2 * shore[k] + 0.04 * extent
        draw_bridge(canvas, across.move(middle[k], 0), palette, span, lanes)
    for _ in range(rng.integers(0, 4)):
        k = int(rng.integers(8, 52))
        boat = frame.move(ahead[k], middle[k] + half[k] * rng.uniform(-0.5, 0.5))
        if canvas.surface[cell_at(canvas, boat)] == water:
            foam = palette.water * 0.8 + 28
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
        inside = canvas.surface[cell_at(canvas, spot)] == thing
        if inside:
            patch = blob(rng, length * 0.15, length * 0.08, 0.5, 24)
            canvas.paint(spot.place(patch), sand * 0.8 + palette.grass * 0.15)
