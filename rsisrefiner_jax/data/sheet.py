"""Picture sheets: tiles in rows, with captions and a legend."""

import os
from collections.abc import Sequence

import cv2
import numpy as np

from rsisrefiner_jax.data.scene import Scene, SceneObject

Colour = tuple[int, int, int]  # RGB

# Bright, and told apart on vegetation, soil, roofs and water.
PALETTE: tuple[Colour, ...] = (
    (255, 225, 25),
    (0, 200, 255),
    (255, 70, 70),
    (90, 255, 90),
    (245, 80, 230),
    (255, 145, 30),
    (150, 130, 255),
    (190, 255, 60),
    (255, 190, 215),
    (70, 240, 220),
    (255, 215, 180),
    (200, 120, 70),
)
_DPI = 100
_LINE = 16  # pixels of a line of text
_BACKGROUND: Colour = (24, 24, 27)
_TEXT, _FAINT = "#f4f4f5", "#a1a1aa"


def grid(
    tiles: Sequence[np.ndarray], columns: int, gap: int = 0, colour: Colour = (0, 0, 0)
) -> np.ndarray:
    """uint8 [h, w, 3]: tiles of one size (uint8 [s, t, 3]) in rows, the rest of one colour.

    gap: pixels between and around the tiles.
    """
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[0] + gap, tiles[0].shape[1] + gap
    sheet = np.full((rows * height + gap, columns * width + gap, 3), colour, np.uint8)
    for number, tile in enumerate(tiles):
        y, x = gap + number // columns * height, gap + number % columns * width
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet


def write_picture(path: str, picture: np.ndarray) -> None:
    """Writes uint8 [h, w, 3] RGB as a JPEG where the name ends so, else PNG; the folder is made."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    kind = ".jpg" if path.endswith(".jpg") else ".png"
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(kind, bgr, [cv2.IMWRITE_JPEG_QUALITY, 85] if kind == ".jpg" else [])[1]
    with open(path, "wb") as file:
        file.write(data.tobytes())


def outline(canvas: np.ndarray, mask: np.ndarray, colour: Colour, thickness: int = 2) -> None:
    """Draws the outline of a mask (bool [h, w]) on a canvas (uint8 [h, w, 3]), holes included."""
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, lines, -1, colour, thickness)


def fade(canvas: np.ndarray, where: np.ndarray) -> None:
    """Greys the pixels that count as nothing (bool [h, w])."""
    canvas[where] = canvas[where] // 2 + 64


def object_tile(scene: Scene, item: SceneObject, side: int = 224) -> np.ndarray:
    """uint8 [side, side, 3]: an object with its outline and half as much again on every side."""
    mask = scene.mask(item).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    window = min(max(2 * max(w, h), 48), max(mask.shape))
    corner = _inside(y + h // 2, window, mask.shape[0]), _inside(x + w // 2, window, mask.shape[1])
    shrink = cv2.INTER_AREA if window > side else cv2.INTER_CUBIC
    tile = cv2.resize(_cut(scene.image, corner, window), (side, side), interpolation=shrink)
    part = cv2.resize(_cut(mask * 255, corner, window), (side, side)) >= 128
    outline(tile, part, (0, 0, 0), 3)
    outline(tile, part, PALETTE[0], 1)
    return tile


def scene_tile(
    scene: Scene, colours: dict[str, Colour], side: int = 512, thickness: int = 2
) -> np.ndarray:
    """uint8 [h, w, 3]: a whole scene with every object outlined in its class's colour.

    side: of the longer side in pixels; small scenes are at most doubled.
    """
    height, width = scene.image.shape[:2]
    scale = min(side / max(height, width), 2)
    h, w = max(round(height * scale), 1), max(round(width * scale), 1)
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(scene.image, (w, h), interpolation=shrink)
    rows, columns = np.arange(h) * height // h, np.arange(w) * width // w
    fade(picture, scene.ignore[rows][:, columns])
    kernel = np.ones((2 * thickness - 1,) * 2, np.uint8)
    for layer in range(scene.labels.shape[-1]):
        items = sorted((o for o in scene.objects if o.layer == layer), key=lambda o: o.id)
        ids = np.array([0] + [item.id for item in items])
        lut = np.array([(0, 0, 0)] + [colours[item.category] for item in items], np.uint8)
        number = np.searchsorted(ids, scene.labels[rows][:, columns, layer]).clip(0, len(items))
        # An object's outline are its pixels with a neighbour that is none of them.
        plane = number.astype(np.float32)
        edge = (cv2.dilate(plane, kernel) != cv2.erode(plane, kernel)) & (number > 0)
        picture[edge] = lut[number[edge]]
    return picture


def write_sheet(
    path: str,
    tiles: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int,
    title: str = "",
    legend: dict[str, Colour] | None = None,
) -> None:
    """Writes tiles (uint8 [h, w, 3]) as a picture, each over its caption (one or two lines).

    legend: names and their colours, below the tiles.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = max(caption.count("\n") + 1 for caption in captions)
    side_y, side_x = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    strip = lines * _LINE + 10
    gap, columns = 8, min(columns, len(tiles))
    framed = [_pad(tile, side_y, side_x, strip) for tile in tiles]
    body = grid(framed, columns, gap, _BACKGROUND)
    top = 34 if title else 0
    names = list(legend or {})
    width = body.shape[1]
    per_row = max(width // 150, 1)
    bottom = -(-len(names) // per_row) * 22 + 8 if names else 0
    height = top + body.shape[0] + bottom
    figure = Figure((width / _DPI, height / _DPI), _DPI, facecolor=_hex(_BACKGROUND))
    canvas = FigureCanvasAgg(figure)
    figure.figimage(body, 0, bottom, origin="upper")

    def text(x: float, y: float, what: str, size: float, colour: str = _TEXT, **more) -> None:
        figure.text(x / width, 1 - y / height, what, fontsize=size, color=colour, va="top", **more)

    if title:
        text(gap, 9, _shorten(title, int(width / 1.3)), 9.5, weight="bold", parse_math=False)
    for number, caption in enumerate(captions):
        row, column = divmod(number, columns)
        y = top + gap + row * (side_y + strip + gap) + side_y + 4
        for line, words in enumerate(caption.split("\n")):
            x = gap + column * (side_x + gap)
            colour = _FAINT if line else _TEXT
            text(x, y + line * _LINE, _shorten(words, side_x), 8, colour, parse_math=False)
    for number, name in enumerate(names):
        row, column = divmod(number, per_row)
        x, y = gap + column * (width // per_row), top + body.shape[0] + row * 22
        text(x, y, "\N{BLACK SQUARE}", 12, _hex((legend or {})[name]))
        text(x + 18, y + 2, _shorten(name, width // per_row - 20), 8.5, parse_math=False)
    canvas.draw()
    write_picture(path, np.asarray(canvas.buffer_rgba())[..., :3])


def _pad(tile: np.ndarray, height: int, width: int, below: int) -> np.ndarray:
    """A tile at the foot of a frame, over an empty strip `below` pixels high."""
    top, right = height - tile.shape[0], width - tile.shape[1]
    border = cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(tile, top, below, 0, right, border, value=_BACKGROUND)


def _inside(centre: int, window: int, length: int) -> int:
    """Where a window around `centre` starts, moved into 0..length as far as it fits."""
    if window > length:
        return (length - window) // 2
    return min(max(centre - window // 2, 0), length - window)


def _cut(picture: np.ndarray, corner: tuple[int, int], window: int) -> np.ndarray:
    """The square of side `window` from a corner (y, x) on; black outside the picture."""
    y, x = corner
    inside = picture[max(y, 0) : y + window, max(x, 0) : x + window]
    top, left = max(-y, 0), max(-x, 0)
    bottom, right = window - top - inside.shape[0], window - left - inside.shape[1]
    return cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT)


def _shorten(words: str, pixels: int) -> str:
    """Words that fit; the end of a file name says more than its middle."""
    most = max(int(pixels / 6.2), 8)
    if len(words) <= most:
        return words
    return words[: most - 11] + "\N{HORIZONTAL ELLIPSIS}" + words[-10:]


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
