"""Land cover: palettes, noise, surface textures and trees."""

import dataclasses
import functools

import cv2
import numpy as np

from rsisrefiner_jax.data.synthetic.canvas import SUPERSAMPLE, Canvas, Surface

GRASSES = np.array(
    [(74, 96, 52), (96, 116, 66), (58, 76, 44), (130, 128, 82), (150, 140, 100), (86, 90, 62)],
    float,
)
SOILS = np.array([(150, 126, 96), (122, 100, 78), (176, 156, 124), (104, 92, 80)], float)
WATERS = np.array(
    [(44, 62, 70), (62, 82, 78), (34, 44, 50), (92, 98, 82), (52, 84, 104), (112, 106, 88)], float
)
SANDS = np.array([(196, 178, 142), (172, 152, 120), (208, 196, 168), (150, 136, 112)], float)
LEAVES = np.array([(52, 74, 38), (66, 86, 48), (40, 58, 36), (88, 92, 50), (84, 76, 60)], float)


@dataclasses.dataclass(frozen=True)
class Palette:
    """The colours of one scene (season, region), RGB float [3] each."""

    grass: np.ndarray
    soil: np.ndarray
    water: np.ndarray
    sand: np.ndarray
    leaves: np.ndarray
    asphalt: np.ndarray
    concrete: np.ndarray
    marking: np.ndarray


def draw_palette(rng: np.random.Generator) -> Palette:
    """Colours that go together."""
    tarmac = rng.uniform(62, 128)
    slab = rng.uniform(max(tarmac, 120), 188)

    def some(colours: np.ndarray) -> np.ndarray:
        first, second = colours[rng.integers(len(colours), size=2)]
        return first + rng.uniform(0, 0.6) * (second - first) + rng.normal(0, 5, 3)

    return Palette(
        grass=some(GRASSES),
        soil=some(SOILS),
        water=some(WATERS),
        sand=some(SANDS),
        leaves=some(LEAVES),
        asphalt=tarmac + rng.normal(0, 3, 3),
        concrete=slab + np.array((4, 1, -6)) + rng.normal(0, 4, 3),
        marking=np.array((236, 236, 226)) * rng.uniform(0.8, 1),
    )


@functools.lru_cache(maxsize=8)
def _tile(side: int, cell: int) -> np.ndarray:
    """float32 [side, side]: a fixed smooth noise whose grid step is `cell` pixels, unit std."""
    coarse = np.random.default_rng([side, cell]).standard_normal((side // cell + 2,) * 2)
    tile = cv2.resize(coarse.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return tile / tile.std()


def noise(rng: np.random.Generator, size: int, cell: int) -> np.ndarray:
    """float32 [size, size], unit std: noise with features of about `cell` pixels.

    A random window of one fixed tile: far cheaper than fresh noise.
    """
    y, x = rng.integers(0, size, 2)
    return np.ascontiguousarray(_tile(2 * size, cell)[y : y + size, x : x + size])


def render(canvas: Canvas, palette: Palette) -> tuple[np.ndarray, np.ndarray]:
    """Textures, trees and shadows on the flat canvas.

    Returns:
        float32 [size, size, 3] RGB 0..255 and intp [size, size] indices into canvas.surfaces.
    """
    size, rng = canvas.size, canvas.rng
    rgb = cv2.resize(canvas.rgb, (size, size), interpolation=cv2.INTER_AREA)
    planes = [plane.astype(np.float32) for plane in cv2.split(rgb)]
    shade = cv2.resize(canvas.shade, (size, size), interpolation=cv2.INTER_AREA)
    surface: np.ndarray = canvas.surface[::SUPERSAMPLE, ::SUPERSAMPLE].astype(np.intp)
    small, mid, coarse = (noise(rng, size, cell) for cell in (3, 9, 40))
    fine = small + noise(rng, size, 1)
    mottle = _spread(canvas, "mottle", surface)
    light = 1 + _spread(canvas, "grain", surface) * fine + mottle * (0.7 * mid + 0.7 * coarse)
    if any(item.stripe for item in canvas.surfaces):
        light += _spread(canvas, "stripe", surface) * _stripes(canvas, surface, coarse)
    # Vegetation and soil drift in hue, not only in brightness.
    drift = mottle * (coarse - 0.5 * mid)
    for plane, hue in zip(planes, (0.35, 0.0, -0.2), strict=True):
        plane *= light + hue * drift
    surface, shade = _plant(canvas, palette, planes, surface, shade, (small, mid, coarse))
    depth = rng.uniform(0.45, 0.72) / 255
    shade = cv2.GaussianBlur(shade, (3, 3), 0.6).astype(np.float32) * np.float32(depth)
    for plane, sky in zip(planes, (1.0, 0.96, 0.86), strict=True):  # the sky lights shadows blue
        plane *= 1 - np.float32(sky) * shade
    return cv2.merge(planes), surface


def _spread(canvas: Canvas, field: str, surface: np.ndarray) -> np.ndarray:
    """float32 [size, size]: one property of the surface at every pixel."""
    return _table(canvas, field).take(surface)


def _table(canvas: Canvas, field: str) -> np.ndarray:
    return np.array([getattr(item, field) for item in canvas.surfaces], np.float32)


def _stripes(canvas: Canvas, surface: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """float32 [size, size] in -1..1: every surface's own stripes, slightly wavy."""
    angle = _table(canvas, "angle")
    rate = 2 * np.pi / np.maximum(_table(canvas, "period"), 2.5)
    axis = np.arange(canvas.size, dtype=np.float32)
    phase = (rate * np.sin(angle)).take(surface) * axis[:, None]
    phase += (rate * np.cos(angle)).take(surface) * axis
    phase += np.float32(0.4) * warp
    return np.sin(phase, out=phase)


def _plant(
    canvas: Canvas,
    palette: Palette,
    planes: list[np.ndarray],
    surface: np.ndarray,
    shade: np.ndarray,
    noises: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Trees, singly and in woods, drawn into `planes`; returns the new surface and shade.

    The crowns are the cells around random seeds, so that a wood costs as little as one tree.
    """
    size, rng = canvas.size, canvas.rng
    small, mid, coarse = noises
    radius = float(np.clip(rng.uniform(1.8, 4.5) / canvas.gsd, 3.0, size / 10))
    seeds = rng.integers(0, size, (int(size * size / (1.5 * radius**2)), 2))
    at = tuple(seeds.T)
    density = _table(canvas, "trees")[surface[at]]
    wooded = coarse[at] > rng.uniform(0.8, 2) - 2 * density
    chance = np.where(wooded, density > 0, 0.12 * density)
    seeds = seeds[rng.random(len(seeds)) < chance]
    if not len(seeds):
        return surface, shade
    ground = np.ones((size, size), np.uint8)
    ground[tuple(seeds.T)] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        ground, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner: np.ndarray = labels.astype(np.intp)
    growth = (radius * rng.uniform(0.75, 1.15, len(seeds) + 2)).astype(np.float32)
    distance /= growth.take(owner)
    distance += np.float32(0.1) * (mid if radius > 14 else small)  # ragged outlines
    crown = distance < 1
    height = np.maximum(1 - distance * distance, 0)
    towards = -canvas.sun / np.linalg.norm(canvas.sun)
    east, south = (cv2.Scharr(height, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
    slope = cv2.addWeighted(east, towards[1] * radius / 90, south, towards[0] * radius / 90, 0)
    vigour = rng.normal(1, 0.13, len(seeds) + 2).astype(np.float32)
    bright = np.float32(0.72) + np.float32(0.3) * height - np.clip(slope, -0.4, 0.4)
    bright *= vigour.take(owner) * (1 + np.float32(0.2) * small)
    for plane, colour in zip(planes, palette.leaves, strict=True):
        np.copyto(plane, bright * np.float32(colour), where=crown)
    # A crown stands on a trunk: its shadow falls aside and spares the crown itself.
    fall = canvas.sun * canvas.gsd * radius * 1.3
    shift = np.array([[1, 0, fall[1]], [0, 1, fall[0]]], np.float32)
    shade = np.maximum(shade, cv2.warpAffine(crown.astype(np.uint8) * 255, shift, (size, size)))
    shade[crown] = 0
    surface[crown] = canvas.add(Surface())
    _label_lone_trees(canvas, surface, seeds, owner, crown, radius)
    return surface, shade


def _label_lone_trees(
    canvas: Canvas,
    surface: np.ndarray,
    seeds: np.ndarray,
    owner: np.ndarray,
    crown: np.ndarray,
    radius: float,
) -> None:
    """A few trees that touch no other become objects."""
    for y, x in seeds[:8]:
        neighbours = (np.abs(seeds - (y, x)) < 2.3 * radius).all(1)
        if neighbours.sum() > 1:
            continue
        reach = int(1.5 * radius) + 1
        window = slice(max(y - reach, 0), y + reach), slice(max(x - reach, 0), x + reach)
        alone = crown[window] & (owner[window] == owner[y, x])
        surface[window][alone] = canvas.add(Surface("tree"))
