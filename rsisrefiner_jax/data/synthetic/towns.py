"""Scenes of towns: homes, blocks, junctions, car parks and sports grounds."""

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Pose, Surface, blob, box, circle
from rsisrefiner_jax.data.synthetic.objects import draw_vehicle
from rsisrefiner_jax.data.synthetic.shared_features import (
    Scatter,
    cell_at,
    draw_distractors,
    draw_parking,
    draw_road,
    grid,
)
from rsisrefiner_jax.data.synthetic.structures import (
    draw_block,
    draw_bridge,
    draw_court,
    draw_diamond,
    draw_house,
    draw_pool,
    draw_track,
)
from rsisrefiner_jax.data.synthetic.terrain import Palette


def residential(canvas: Canvas, palette: Palette) -> None:
    """Streets of detached houses with drives, gardens, pools and trees."""
    rng, frame = canvas.rng, canvas.centre
    width, depth = rng.uniform(6, 9), rng.uniform(24, 34)
    lot = rng.uniform(15, 26)
    road = canvas.add(Surface("road", 0.03, 0.035))
    streets = [
        frame.move(0, k * (width + 2 * depth) + rng.uniform(-3, 3))
        for k in range(-8, 9)
        if abs(k) * (width + 2 * depth) < canvas.extent * 0.75
    ]
    draw_distractors(canvas, 25, 7)
    for street in streets:
        draw_road(canvas, street, palette, width, road, traffic=0.25)
    if rng.random() < 0.6:
        crossing = frame.move(rng.uniform(-0.3, 0.3) * canvas.extent, 0, np.pi / 2)
        draw_road(canvas, crossing, palette, width, road, traffic=0.15)
    for street in streets:
        for at in np.arange(-canvas.extent, canvas.extent, lot):
            for side in (-1, 1):
                home = street.move(at, side * (width / 2 + depth * 0.42), np.pi * (side < 0))
                if canvas.sees(home, 10) and canvas.surface[cell_at(canvas, home)] == 0:
                    _home(canvas, palette, home, lot, depth)


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
    """Blocks of flat-roofed buildings, car parks and parks in a street grid."""
    rng, frame = canvas.rng, canvas.centre
    ahead, aside = rng.uniform(70, 130), rng.uniform(50, 90)
    width = rng.uniform(10, 16)
    road = canvas.add(Surface("road", 0.03, 0.035))
    for k in range(-6, 7):
        if abs(k) * aside < canvas.extent * 0.8:
            street = frame.move(0, (k + 0.5) * aside)
            draw_road(canvas, street, palette, width, road, traffic=0.3)
    for k in range(-6, 7):
        if abs(k) * ahead < canvas.extent * 0.8:
            street = frame.move((k + 0.5) * ahead, 0, np.pi / 2)
            draw_road(canvas, street, palette, width, road, traffic=0.2)
    draw_distractors(canvas, 20, 10)
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


def car_park(canvas: Canvas, palette: Palette) -> None:
    """A large car park beside a hall and a road."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    draw_distractors(canvas, 15, 5)
    full = rng.uniform(0.3, 0.85)
    draw_parking(canvas, frame, palette, extent * rng.uniform(0.8, 1.5), extent * 0.9, full)
    for _ in range(10):  # islands with a tree or two
        island = canvas.add(Surface("", 0.07, 0.08, trees=0.6))
        spot = frame.move(*(rng.uniform(-0.6, 0.6, 2) * extent))
        canvas.fill([spot.place(circle(rng.uniform(1, 2.2)))], [palette.grass], island)
    if rng.random() < 0.8:
        hall = frame.move(0, extent * rng.choice([-0.5, 0.5]))
        draw_block(canvas, hall, extent * rng.uniform(0.5, 1), extent * 0.3)
    road = canvas.add(Surface("road", 0.03, 0.035))
    side = frame.move(extent * rng.choice([-0.42, 0.42]), 0, np.pi / 2)
    draw_road(canvas, side, palette, rng.uniform(8, 11), road, traffic=0.8)


def junction(canvas: Canvas, palette: Palette) -> None:
    """Roads that meet at a roundabout, a crossing or an overpass."""
    rng, frame, extent = canvas.rng, canvas.centre, canvas.extent
    draw_distractors(canvas, 25, 12)
    scatter = Scatter(canvas)
    for _ in range(14):
        if (spot := scatter.place(14, frame.angle)) is not None:
            draw = draw_house if rng.random() < 0.5 else draw_block
            draw(canvas, spot, rng.uniform(12, 22), rng.uniform(8, 16))
    width = rng.uniform(8, 15)
    road = canvas.add(Surface("road", 0.03, 0.035))
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


def sports(canvas: Canvas, palette: Palette) -> None:
    """Tracks, diamonds, courts and pools in a park."""
    rng, frame, scatter = canvas.rng, canvas.centre, Scatter(canvas)
    draw_distractors(canvas, 20, 20)
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
