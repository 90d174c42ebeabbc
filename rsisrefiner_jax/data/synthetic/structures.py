"""Drawing buildings, tanks, pools, sports grounds and bridges. Sizes in metres."""

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import (
    Canvas,
    Pose,
    Surface,
    blob,
    box,
    circle,
    sector,
    stadium,
)
from rsisrefiner_jax.data.synthetic.objects import pick
from rsisrefiner_jax.data.synthetic.terrain import Palette

TILES = np.array(
    [
        (156, 86, 62), (128, 76, 60), (98, 78, 68), (84, 82, 84), (112, 108, 104),
        (62, 62, 66), (170, 120, 92), (140, 132, 120), (92, 98, 110),
    ],
    float,
)  # fmt: skip
FLAT_ROOFS = np.array(
    [
        (200, 198, 192), (168, 164, 156), (132, 128, 124), (96, 94, 94), (182, 170, 148),
        (220, 220, 220), (120, 130, 142), (150, 104, 84), (106, 122, 110),
    ],
    float,
)  # fmt: skip


def draw_house(canvas: Canvas, pose: Pose, length: float, width: float) -> None:
    """A gabled or hipped house, ridge along the pose, sometimes with a wing across."""
    rng = canvas.rng
    tiles = pick(rng, TILES)
    thing = canvas.add(
        Surface("building", 0.04, 0.05, rng.uniform(0, 0.07), 0.9 / canvas.gsd, pose.angle)
    )
    hip = rng.uniform(0.25, 0.5) * width if rng.random() < 0.45 else 0.0
    bodies = [(pose, length, width)]
    if rng.random() < 0.45:
        depth, side = width * rng.uniform(0.5, 0.75), rng.choice([-1, 1])
        at = length * rng.uniform(-0.25, 0.25)
        bodies.insert(
            0, (pose.move(at, side * width * 0.4, np.pi / 2), width * rng.uniform(0.8, 1.2), depth)
        )
    height = rng.uniform(3.5, 8)
    planes, colours = [], []
    for body, long, wide in bodies:
        for slope, facing in _roof_planes(long, wide, hip if wide == width else 0.0):
            angle = body.angle + facing
            lit = -(np.cos(angle) * canvas.sun[1] + np.sin(angle) * canvas.sun[0])
            planes.append(body.place(slope))
            colours.append(tiles * (1 + 0.24 * lit / np.linalg.norm(canvas.sun)))
    canvas.fill(planes, colours, thing, height)
    ridge = np.array([(length / 2 - hip, 0.0), (hip - length / 2, 0.0)])
    canvas.line(pose.place(ridge), 0.25 * pose.scale, tiles * 1.25)
    for _ in range(rng.integers(0, 4)):  # chimneys and roof windows
        at, aside = rng.uniform(-0.35, 0.35) * length, rng.uniform(-0.3, 0.3) * width
        spot = box(rng.uniform(0.6, 1.4), rng.uniform(0.6, 1.2), at, aside)
        canvas.paint(pose.place(spot), rng.choice([40.0, 70.0, 170.0, 220.0]) * np.ones(3))


def _roof_planes(length: float, width: float, hip: float) -> list[tuple[np.ndarray, float]]:
    """The sloping planes of a roof, each with the direction it faces."""
    end, side, ridge = length / 2, width / 2, length / 2 - hip
    planes = [
        (np.array([(end, side), (ridge, 0), (-ridge, 0), (-end, side)]), np.pi / 2),
        (np.array([(end, -side), (ridge, 0), (-ridge, 0), (-end, -side)]), -np.pi / 2),
    ]
    if hip:
        planes.append((np.array([(end, side), (end, -side), (ridge, 0)]), 0.0))
        planes.append((np.array([(-end, side), (-end, -side), (-ridge, 0)]), np.pi))
    return planes


def draw_block(
    canvas: Canvas, pose: Pose, length: float, width: float, height: float | None = None
) -> None:
    """A flat-roofed building of a rectangular, L, T or U plan, with clutter on the roof."""
    rng = canvas.rng
    height = height or rng.uniform(4, 12)
    wings = _plan(rng, length, width)
    roof = pick(rng, FLAT_ROOFS)
    ribbed = rng.uniform(0.02, 0.1) if rng.random() < 0.4 else 0.0
    turn = pose.angle + rng.choice([0, np.pi / 2])
    period = rng.uniform(1.5, 6) / canvas.gsd
    thing = canvas.add(Surface("building", 0.03, rng.uniform(0.02, 0.09), ribbed, period, turn))
    tint = rng.uniform(0.9, 1.1) if rng.random() < 0.3 else 1.0
    colours = [roof if i == 0 else roof * tint for i in range(len(wings))]
    canvas.fill([pose.place(wing) for wing in wings], colours, thing, height)
    edge = roof * rng.choice([0.7, 0.85, 1.15, 1.25])
    for wing in wings:
        canvas.line(pose.place(wing), 0.5 * pose.scale, edge, closed=True)
    for wing, colour in zip(wings, colours, strict=True):
        centre, half = wing.mean(0), np.ptp(wing, axis=0) / 2 - 0.6
        canvas.paint(pose.place(box(2 * half[0], 2 * half[1], *centre)), colour)
    for _ in range(rng.integers(0, 9)):
        wing = wings[rng.integers(len(wings))]
        room = np.ptp(wing, axis=0) * 0.36
        ahead, aside = wing.mean(0) + rng.uniform(-1, 1, 2) * room
        size = rng.uniform(0.8, max(0.22 * room.min(), 1.6), 2)
        unit = pose.place(box(size[0], size[1], ahead, aside))
        canvas.paint(unit + canvas.sun * rng.uniform(1, 2.5), roof * 0.5)
        canvas.paint(unit, pick(rng, FLAT_ROOFS))


def _plan(rng: np.random.Generator, length: float, width: float) -> list[np.ndarray]:
    """Rectangles whose union is a rectangle, an L, a T or a U."""
    kind = rng.choice(["rect", "rect", "L", "T", "U"])
    main = box(length, width)
    if kind == "rect":
        return [main]
    main = box(length, width * 0.45, 0, -width * 0.275)
    arm = length * rng.uniform(0.25, 0.35)
    ends = {"L": (1,), "T": (0,), "U": (-1, 1)}[kind]
    wings = [box(arm, width * 0.65, end * (length - arm) / 2, width * 0.175) for end in ends]
    return [main, *wings]


def draw_tank(canvas: Canvas, pose: Pose, radius: float) -> None:
    """A storage tank: a cone roof, or a floating one that lies deep inside its wall."""
    rng = canvas.rng
    shell = pick(
        rng, np.array([(226, 226, 222), (206, 204, 198), (170, 166, 158), (142, 124, 108)])
    )
    thing = canvas.add(Surface("storage_tank", 0.02, 0.02))
    height = rng.uniform(0.5, 0.9) * radius + 2
    canvas.fill([pose.place(circle(radius))], [shell * 0.9], thing, height)
    sun = canvas.sun / np.linalg.norm(canvas.sun)
    if rng.random() < 0.35:
        deck = shell * rng.uniform(0.5, 0.85)
        canvas.paint(pose.place(circle(radius * 0.94)), deck * 0.55)
        drop = rng.uniform(0.05, 0.3) * radius * pose.scale
        inner = pose.place(circle(radius * 0.92))
        lit = Pose(pose.y + sun[0] * drop, pose.x + sun[1] * drop, 0, pose.scale)
        moved = lit.place(circle(radius * 0.92)) - (pose.y, pose.x)
        norm = np.linalg.norm(moved, axis=1, keepdims=True)
        limit = radius * 0.92 * pose.scale
        canvas.paint(moved * np.minimum(1, limit / norm) + (pose.y, pose.x), deck)
        canvas.line(inner, 0.3 * pose.scale, shell, closed=True)
    else:
        for k, bright in ((0.96, 0.96), (0.75, 1.0), (0.5, 1.05), (0.25, 1.09)):
            offset = -sun * (1 - k) * 0.35 * radius * pose.scale
            canvas.paint(pose.place(circle(radius * k)) + offset, shell * bright)
    stair = circle(radius * 0.97)[: rng.integers(4, 9)]
    canvas.line(pose.move(0, 0, rng.uniform(0, 6)).place(stair), 0.4 * pose.scale, shell * 0.5)
    if rng.random() < 0.4:
        canvas.paint(pose.place(circle(radius * 0.08, points=10)), shell * 0.6)


def draw_pool(canvas: Canvas, pose: Pose, length: float) -> None:
    """A swimming pool in its paved rim (not part of the object)."""
    rng = canvas.rng
    shape = rng.choice(["box", "blob", "oval"])
    if shape == "box":
        outline = box(length, length * rng.uniform(0.4, 0.6))
    elif shape == "oval":
        outline = stadium(length * 0.5, length * 0.25)
    else:
        outline = blob(rng, length, length * 0.6, rough=0.3)
    rim = canvas.add(Surface("", 0.04, 0.03))
    stone = pick(rng, np.array([(196, 190, 178), (170, 160, 146), (210, 206, 200)], float))
    canvas.fill([pose.place(outline * (1 + 2.4 / length))], [stone], rim)
    thing = canvas.add(Surface("pool", 0.04, 0.04))
    water = pick(rng, np.array([(92, 178, 198), (70, 150, 184), (120, 196, 204), (64, 120, 130)]))
    canvas.fill([pose.place(outline)], [water], thing)
    canvas.paint(pose.place(outline * 0.75), water * 0.94)


def draw_court(canvas: Canvas, pose: Pose, palette: Palette, basketball: bool = False) -> None:
    """A tennis or basketball court with its lines; the apron around the lines belongs to it."""
    rng = canvas.rng
    paints = [(78, 118, 84), (156, 88, 66), (72, 104, 140), (98, 124, 96), (132, 128, 122)]
    inner, outer = pick(rng, np.array(paints, float)), pick(rng, np.array(paints, float))
    if rng.random() < 0.25:
        inner = palette.asphalt * 1.1 + rng.normal(0, 4, 3)
        outer = inner * rng.uniform(0.9, 1.1)
    white, width = palette.marking, max(0.12 * pose.scale, 0.5)

    def lines(*shapes: np.ndarray) -> None:
        for shape in shapes:
            canvas.line(pose.place(shape), width, white, closed=len(shape) > 2)

    if basketball:
        thing = canvas.add(Surface("basketball_court", 0.03, 0.03))
        canvas.fill([pose.place(box(30, 17))], [outer], thing)
        canvas.paint(pose.place(box(28, 15)), inner)
        lines(box(28, 15), np.array([(0, -7.5), (0, 7.5)]), circle(1.8, points=16))
        for end in (-1, 1):
            canvas.paint(pose.place(box(5.8, 4.9, end * 11.1)), outer)
            hoop = sector(6.75, -np.pi / 2, np.pi / 2, 12)[1:] * (-end, 1) + (end * 12.4, 0)
            lines(box(5.8, 4.9, end * 11.1), circle(1.8, end * 8.2, points=16))
            canvas.line(pose.place(hoop), width, white)
        return
    thing = canvas.add(Surface("tennis_court", 0.03, 0.03))
    canvas.fill([pose.place(box(36, 18))], [outer], thing)
    canvas.paint(pose.place(box(23.8, 11)), inner)
    lines(box(23.8, 11), box(23.8, 8.2), box(12.8, 8.2))
    lines(np.array([(-6.4, 0), (6.4, 0)]), np.array([(0, -5.5), (0, 5.5)]))
    canvas.line(pose.place(np.array([(0, -6.4), (0, 6.4)])), width, white * 0.35)


def draw_diamond(canvas: Canvas, pose: Pose, palette: Palette) -> None:
    """A baseball diamond: the dirt fan with the infield; its outfield is background."""
    rng = canvas.rng
    size = rng.uniform(18, 30)
    field = canvas.add(Surface("", 0.05, 0.05, rng.uniform(0, 0.05), 5 / canvas.gsd, pose.angle))
    turf = palette.grass * rng.uniform(0.95, 1.2)
    fan = sector(size * rng.uniform(2.2, 3.4), -np.pi / 4, np.pi / 4)
    canvas.fill([pose.place(fan)], [turf], field)
    dirt = pick(rng, np.array([(176, 134, 94), (160, 112, 80), (190, 160, 122)], float))
    thing = canvas.add(Surface("baseball_diamond", 0.04, 0.05))
    reach = size * rng.uniform(1.45, 1.6)
    arc = sector(reach, -np.pi / 4, np.pi / 4) - (size * 0.12, 0)
    home = circle(size * 0.2)
    canvas.fill([pose.place(arc), pose.place(home)], [dirt, dirt], thing)
    if rng.random() < 0.75:
        corner = size * 0.68
        infield = np.array([(corner * 0.22, 0), (corner, corner * 0.74)])
        square = np.array([infield[0], infield[1], (corner * 1.8, 0), infield[1] * (1, -1)])
        canvas.paint(pose.place(square), turf)
        canvas.paint(pose.place(circle(size * 0.08, corner, 0, 12)), dirt)
    chalk = max(0.12 * pose.scale, 0.5)
    for side in (-1, 1):
        foul = np.array([(0, 0), (size * 2, side * size * 2)])
        canvas.line(pose.place(foul), chalk, palette.marking)


def draw_track(canvas: Canvas, pose: Pose, palette: Palette, scale: float) -> None:
    """A ground track field: lanes around a pitch, one object. `scale`: 1 = a 400 m track."""
    rng = canvas.rng
    lane = pick(rng, np.array([(160, 82, 66), (140, 96, 78), (110, 106, 104), (84, 110, 150)]))
    thing = canvas.add(
        Surface(
            "track_field", 0.04, 0.04, rng.uniform(0, 0.06), 10 * scale / canvas.gsd, pose.angle
        )
    )
    straight, radius = 85 * scale, 46 * scale
    canvas.fill([pose.place(stadium(straight, radius))], [lane], thing)
    width = max(0.12 * pose.scale, 0.5)
    for k in range(1, 4):
        lanes = stadium(straight, radius - 2.2 * k * scale)
        canvas.line(pose.place(lanes), width, palette.marking * 0.85, closed=True)
    turf = palette.grass * rng.uniform(0.9, 1.25)
    canvas.paint(pose.place(stadium(straight, radius - 9 * scale)), lane * rng.uniform(0.85, 1.1))
    pitch = box(straight * 1.18, radius * 1.4)
    canvas.paint(pose.place(pitch), turf)
    for shape in (pitch * 0.94, pitch * (0, 0.94), circle(9 * scale, points=16)):
        canvas.line(pose.place(shape), width, palette.marking, closed=True)
    for end in (-1, 1):
        penalty = box(14 * scale, radius * 0.7, end * straight * 0.47)
        canvas.line(pose.place(penalty), width, palette.marking, closed=True)


def draw_bridge(canvas: Canvas, pose: Pose, palette: Palette, length: float, width: float) -> None:
    """A bridge deck along the pose: a parapet on both sides, lanes between."""
    deck = palette.asphalt * canvas.rng.uniform(0.9, 1.4)
    thing = canvas.add(Surface("bridge", 0.03, 0.04))
    canvas.fill([pose.place(box(length, width))], [deck], thing, height=canvas.rng.uniform(4, 10))
    for side in (-1, 1):
        rail = np.array([(-length / 2, side * width * 0.46), (length / 2, side * width * 0.46)])
        canvas.line(pose.place(rail), 0.06 * width * pose.scale, palette.concrete * 1.1)
    draw_dashes(canvas, pose, palette, length)


def draw_dashes(canvas: Canvas, pose: Pose, palette: Palette, length: float) -> None:
    """The broken centre line of a road of `length` metres along the pose."""
    for at in np.arange(-length / 2, length / 2, 9.0):
        dash = pose.move(at, 0)
        if canvas.sees(dash, 5):
            canvas.paint(dash.place(box(4.0, 0.22)), palette.marking)
