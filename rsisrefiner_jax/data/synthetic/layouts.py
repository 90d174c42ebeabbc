"""The kinds of scene, and the choice of one."""

import dataclasses
from collections.abc import Callable

import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import Canvas, Surface
from rsisrefiner_jax.data.synthetic.country import farmland, lakes, river
from rsisrefiner_jax.data.synthetic.industry import airport, marina, tank_farm
from rsisrefiner_jax.data.synthetic.terrain import Palette, draw_palette
from rsisrefiner_jax.data.synthetic.towns import car_park, city, junction, residential, sports

REFERENCE_SIZE = 384  # pixels, the picture that the GSD ranges below are made for


@dataclasses.dataclass(frozen=True)
class Layout:
    """A kind of scene. gsd: range of ground sample distance, metres per pixel."""

    draw: Callable[[Canvas, Palette], None]
    gsd: tuple[float, float]
    ground: str  # a colour of the palette
    texture: Surface


LAWN = Surface("", 0.07, 0.09, trees=0.35)
MEADOW = Surface("", 0.07, 0.1, trees=0.6)
PAVED = Surface("", 0.03, 0.03, trees=0.05)
SEA = Surface("", 0.012, 0.04, 0.008, 5)

LAYOUTS = (
    Layout(residential, (0.12, 0.35), "grass", LAWN),
    Layout(city, (0.2, 0.45), "concrete", PAVED),
    Layout(farmland, (0.5, 2.0), "soil", MEADOW),
    Layout(lakes, (0.8, 3.0), "grass", MEADOW),
    Layout(river, (0.6, 3.0), "grass", MEADOW),
    Layout(airport, (0.2, 0.9), "concrete", Surface("", 0.025, 0.025)),
    Layout(marina, (0.15, 1.5), "water", SEA),
    Layout(tank_farm, (0.2, 0.7), "soil", Surface("", 0.06, 0.08, trees=0.1)),
    Layout(sports, (0.2, 0.7), "grass", LAWN),
    Layout(car_park, (0.06, 0.14), "grass", LAWN),
    Layout(junction, (0.08, 0.28), "grass", LAWN),
)


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
