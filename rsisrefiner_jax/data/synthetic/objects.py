"""Drawing vehicles, planes and ships. Sizes in metres."""

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Colour, Pose, Surface, box, circle

CAR_PAINTS = np.array(
    [
        (225, 226, 228), (190, 193, 196), (120, 124, 128), (52, 55, 60), (30, 31, 34),
        (150, 40, 36), (46, 70, 122), (96, 92, 84), (205, 198, 180), (200, 160, 40),
    ],
    float,
)  # fmt: skip
GLASS = np.array((42.0, 48.0, 56.0))
FINE = 2.5  # pixels per metre from which a vehicle's windows can be told


def pick(rng: np.random.Generator, colours: np.ndarray, spread: float = 8.0) -> np.ndarray:
    """One of `colours` [n, 3], a little off."""
    return colours[rng.integers(len(colours))] + rng.normal(0, spread, 3)


def draw_vehicle(canvas: Canvas, pose: Pose, truck: bool = False) -> None:
    """A car, or a truck with its trailer, heading along the pose."""
    rng = canvas.rng
    paint = pick(rng, CAR_PAINTS)
    thing = canvas.add(Surface("vehicle", grain=0.02, mottle=0.02))
    if truck:
        length, width = rng.uniform(8, 15), rng.uniform(2.4, 2.7)
        cargo = pick(rng, CAR_PAINTS[[0, 1, 5, 6, 8]], 14)
        trailer, cab = box(length - 2.6, width, -1.3), box(2.2, width * 0.94, length / 2 - 1.1)
        joint = box(1.2, width * 0.6, length / 2 - 2.4)
        parts = [pose.place(part) for part in (joint, trailer, cab)]
        canvas.fill(parts, [GLASS, cargo, paint], thing, height=3.2)
        if pose.scale < FINE:
            return
        canvas.paint(pose.place(box(0.6, width * 0.8, length / 2 - 0.4)), GLASS)
        for rib in np.arange(-length / 2 + 1, length / 2 - 3, 1.6):
            canvas.paint(pose.place(box(0.12, width, rib)), cargo * 0.86)
        return
    length, width = rng.uniform(3.9, 5.2), rng.uniform(1.7, 2.0)
    nose, flank = length / 2, width / 2
    body = np.array(
        [
            (nose, 0.55 * flank), (nose - 0.5, flank), (-nose + 0.3, flank), (-nose, 0.7 * flank),
            (-nose, -0.7 * flank), (-nose + 0.3, -flank), (nose - 0.5, -flank),
            (nose, -0.55 * flank),
        ]
    )  # fmt: skip
    canvas.fill([pose.place(body)], [paint], thing, height=1.5)
    if pose.scale < FINE:
        return
    windscreen = [(0.18, 0.4), (0.06, 0.36), (0.06, -0.36), (0.18, -0.4)]
    rear = [(-0.26, 0.34), (-0.36, 0.38), (-0.36, -0.38), (-0.26, -0.34)]
    cabin = [(0.06, 0.36), (0.06, -0.36), (-0.26, -0.36), (-0.26, 0.36)]
    for part, colour in ((windscreen, GLASS), (rear, GLASS), (cabin, paint * 1.06 + 6)):
        canvas.paint(pose.place(np.array(part) * (length, width)), colour)


def draw_plane(canvas: Canvas, pose: Pose, length: float) -> None:
    """An airliner or a light aircraft, nose along the pose."""
    rng = canvas.rng
    skin = pick(rng, np.array([(236, 238, 240), (214, 216, 220), (188, 192, 198)], float), 6)
    span, sweep = length * rng.uniform(0.85, 1.05), length * rng.uniform(0.08, 0.2)
    girth, chord = length * rng.uniform(0.09, 0.12), length * rng.uniform(0.13, 0.19)
    if length < 18:
        sweep = 0.0
    root = length * rng.uniform(0.02, 0.1)
    tail = -length / 2
    fuselage = np.array(
        [
            (length / 2, 0), (length * 0.47, girth * 0.3), (length * 0.38, girth / 2),
            (-length * 0.25, girth / 2), (tail, girth * 0.12), (tail, -girth * 0.12),
            (-length * 0.25, -girth / 2), (length * 0.38, -girth / 2),
            (length * 0.47, -girth * 0.3),
        ]
    )  # fmt: skip
    wing = np.array(
        [
            (root + chord / 2, 0), (root - sweep + chord * 0.05, span / 2),
            (root - sweep - chord * 0.3, span / 2), (root - chord * 0.62, 0),
        ]
    )  # fmt: skip
    fin = np.array(
        [
            (tail + chord * 0.75, 0), (tail + chord * 0.15 - sweep * 0.2, span * 0.18),
            (tail - chord * 0.12 - sweep * 0.2, span * 0.18), (tail + chord * 0.1, 0),
        ]
    )  # fmt: skip
    mirror = np.array((1.0, -1.0))
    thing = canvas.add(Surface("plane", grain=0.025, mottle=0.02))
    wings = skin * rng.uniform(0.8, 0.98)
    parts, colours = [wing, wing * mirror, fin, fin * mirror, fuselage], [wings] * 4 + [skin]
    if length >= 18:
        for side in rng.choice([-1, 1], 2, replace=False):
            for at in (0.32, 0.62) if length > 55 else (0.34,):
                engine = root + chord * 0.35 - sweep * at
                pod = box(length * 0.09, girth * 0.45, engine, side * span / 2 * at)
                parts.insert(0, pod)
                colours.insert(0, skin * 0.72)
    canvas.fill([pose.place(part) for part in parts], colours, thing, height=length * 0.09)
    canvas.paint(pose.place(box(length * 0.84, girth * 0.2, 0, girth * 0.28)), skin * 0.85)
    canvas.paint(pose.place(box(length * 0.02, girth * 0.5, length * 0.44)), GLASS)
    livery = pick(rng, CAR_PAINTS)
    canvas.paint(pose.place(box(length * 0.13, girth * 0.12, tail + length * 0.08)), livery)


def draw_ship(canvas: Canvas, pose: Pose, length: float, wake: Colour | None = None) -> None:
    """A boat or a ship, bow along the pose; `wake`: colour of its trail, None = moored."""
    rng = canvas.rng
    beam = length * rng.uniform(0.15, 0.32 if length < 25 else 0.2)
    stern, shoulder = -length / 2, length * rng.uniform(0.12, 0.3)
    flank = np.linspace(0, 1, 6)[1:]
    bow = np.stack([length / 2 - (length / 2 - shoulder) * flank**1.6, beam / 2 * flank], 1)
    hull = np.concatenate(
        [
            [(length / 2, 0)], bow, [(stern * 0.9, beam / 2), (stern, beam * 0.38)],
            [(stern, -beam * 0.38), (stern * 0.9, -beam / 2)], bow[::-1] * (1, -1),
        ]
    )  # fmt: skip
    if wake is not None:
        _draw_wake(canvas, pose, length, beam, wake)
    small = length < 25
    decks = [(228, 228, 224), (240, 240, 238), (176, 150, 116), (90, 100, 120)]
    cargo_decks = [(128, 62, 48), (96, 98, 102), (74, 92, 84), (150, 146, 138), (60, 66, 84)]
    deck = pick(rng, np.array(decks if small else cargo_decks, float))
    rim = deck * 0.7 if rng.random() < 0.5 else deck * 0.6 + 90
    thing = canvas.add(Surface("ship", grain=0.04, mottle=0.04))
    outline = pose.place(hull)
    canvas.fill([outline], [rim], thing, height=min(length * 0.06, 9.0))
    canvas.paint(pose.place(hull * (0.95, 0.84)), deck)
    if small:
        seats = box(length * 0.24, beam * 0.6, -length * rng.uniform(0.05, 0.25))
        canvas.paint(pose.place(seats), deck * rng.uniform(0.3, 0.7))
        canvas.paint(pose.place(box(length * 0.06, beam * 0.55, length * 0.1)), GLASS)
        return
    bridge_at = stern * rng.uniform(0.6, 0.8)
    bridge = box(length * 0.1, beam * 0.84, bridge_at)
    white = np.array((232.0, 232.0, 228.0)) * rng.uniform(0.85, 1)
    holds = np.linspace(bridge_at + length * 0.12, length * 0.3, rng.integers(4, 9))
    containers = rng.random() < 0.5
    for at in holds:
        for side in (-0.26, 0, 0.26) if containers else (0,):
            width = beam * (0.24 if containers else 0.62)
            crate = box(length * 0.3 / len(holds) * 1.6, width, at, side * beam)
            colour = pick(rng, CAR_PAINTS[[1, 5, 6, 8, 9]], 12) if containers else deck * 0.62
            canvas.paint(pose.place(crate), colour)
    canvas.paint(pose.place(bridge) + canvas.sun * 6, deck * 0.45)
    canvas.paint(pose.place(bridge), white)
    canvas.paint(pose.place(circle(beam * 0.12, bridge_at, 0, 10)), deck * 0.5)


def _draw_wake(canvas: Canvas, pose: Pose, length: float, beam: float, foam: Colour) -> None:
    start, reach = -length * 0.45, length * canvas.rng.uniform(1, 2.5)
    end = start - reach
    for side in (-1, 1):
        arm = [(0, side * beam * 0.5), (end, side * reach * 0.2), (end, side * reach * 0.18)]
        canvas.paint(pose.place(np.array(arm)), foam)
    near, far = beam * 0.3, beam * 0.45
    trail = [(start, near), (end, far), (end * 1.3, 0), (end, -far), (start, -near)]
    canvas.paint(pose.place(np.array(trail)), foam)
