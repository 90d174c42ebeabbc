"""Scenes of transport and industry: airports, harbours, tank farms."""

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Colour, Pose, Surface, box
from rsisrefiner_jax.data.synthetic.objects import draw_plane, draw_ship, draw_vehicle
from rsisrefiner_jax.data.synthetic.shared_features import (
    cell_at,
    draw_distractors,
    draw_road,
    grid,
)
from rsisrefiner_jax.data.synthetic.structures import draw_block, draw_tank
from rsisrefiner_jax.data.synthetic.terrain import Palette


def airport(canvas: Canvas, palette: Palette) -> None:
    """An apron with rows of planes, halls and service vehicles."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    slab = rng.uniform(6, 15)
    seams = np.arange(-extent, extent, slab)
    joint = palette.concrete * rng.uniform(0.86, 0.95)
    for at in seams:
        canvas.line(frame.place(np.array([(at, -extent), (at, extent)])), 0.5, joint)
        canvas.line(frame.place(np.array([(-extent, at), (extent, at)])), 0.5, joint)
    draw_distractors(canvas, 25, 10)
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
                    ahead, aside = rng.uniform(-0.5, 0.5, 2) * length
                    beside = stand.move(ahead, aside, rng.uniform(0, 6))
                    if canvas.surface[cell_at(canvas, beside)] == 0:
                        draw_vehicle(canvas, beside, truck=rng.random() < 0.4)


def marina(canvas: Canvas, palette: Palette) -> None:
    """Berths along piers: pleasure boats, or cargo ships at a larger GSD."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    length = float(np.clip(rng.uniform(9, 28) * (canvas.gsd / 0.25), 8, 220))
    quay = rng.uniform(-0.35, 0.05) * extent
    land = canvas.add(Surface("", 0.03, 0.035, trees=0.15))
    shore = frame.place(box(2 * extent, extent, 0, quay - extent / 2))
    canvas.fill([shore], [palette.concrete], land, height=2)
    foam = palette.water * 0.8 + 34
    for _ in range(rng.integers(0, 5)):
        boat = frame.move(
            rng.uniform(-0.5, 0.5) * extent,
            quay + extent * rng.uniform(0.45, 0.9),
            rng.uniform(0, 6.3),
        )
        if canvas.surface[cell_at(canvas, boat)] == 0:
            draw_ship(canvas, boat, length * rng.uniform(0.7, 1.3), foam)
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


def _harbour_front(canvas: Canvas, palette: Palette, frame: Pose, quay: float) -> None:
    """Sheds, a road and cars on the land behind the quay."""
    rng, extent = canvas.rng, canvas.extent
    road = canvas.add(Surface("road", 0.03, 0.035))
    if rng.random() < 0.7:
        back = frame.move(0, quay - max(20, extent * 0.08))
        draw_road(canvas, back, palette, 8, road, traffic=0.5)
    depth = extent * rng.uniform(0.1, 0.2)
    for at in np.arange(-extent * 0.7, extent * 0.7, depth * 1.7):
        shed = frame.move(at, quay - extent * 0.12 - depth)
        if rng.random() < 0.8 and canvas.sees(shed, depth):
            draw_block(canvas, shed, depth * rng.uniform(0.8, 1.5), depth * rng.uniform(0.5, 0.9))


def tank_farm(canvas: Canvas, palette: Palette) -> None:
    """Storage tanks on a grid, with dikes, pipes and a road."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    radius = float(np.clip(rng.uniform(5, 22), extent * 0.05, extent * 0.12))
    pitch = radius * rng.uniform(2.5, 4)
    draw_distractors(canvas, 20, radius * 2)
    path = canvas.add(Surface("road", 0.03, 0.035))
    yard = rng.integers(2, 4)
    draw_road(canvas, frame.move(0, -pitch / 2 * yard), palette, 7, path, 0.2)
    for number, spot in enumerate(grid(canvas, frame, pitch, pitch)):
        size = radius * (rng.uniform(0.55, 0.8) if number % yard == 0 else 1.0)
        kind = rng.random()
        if canvas.surface[cell_at(canvas, spot)] != 0:
            continue
        if kind < 0.72:
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
