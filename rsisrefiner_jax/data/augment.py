"""Random changes of a training picture: geometry, crop and colour.

The recipe is that of RITM and its successors (the paper, section IV-B, names its parts). All
geometry is written as 3 x 3 matrices and applied in one warp of crop x crop pixels: the picture is
interpolated once, and a large picture costs no more than a small one.

Matrices act on column vectors (x, y, 1) and lead from a picture to the changed picture, with
pixel centres at integers.
"""

import cv2
import numpy as np

from rsisrefiner_jax.config import Augment

Size = tuple[int, int]  # height, width


def augment(
    image: np.ndarray,
    labels: np.ndarray,
    ignore: np.ndarray,
    crop: int,
    config: Augment,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One random version of a scene.

    Args:
        image: uint8 [h, w, 3].
        labels: int32 [h, w, layers], 0 = background.
        ignore: bool [h, w].
        crop: side of the square that is cut out, pixels.

    Returns:
        The same three at [crop, crop]. Whatever lies outside the picture is black background,
        and not ignored.
    """
    height, width = image.shape[:2]
    if config.zoom is None:
        matrix = random_geometry((height, width), crop, config, rng)
    else:
        box = random_box(np.where(ignore[..., None], 0, labels), rng)
        matrix = zoom_geometry((height, width), box, crop, config, rng)
    table = random_colours(config, rng)
    layers = [
        warp(np.ascontiguousarray(layer), matrix, crop, cv2.INTER_NEAREST)
        for layer in np.moveaxis(labels, -1, 0)
    ]
    return (
        cv2.LUT(warp(image, matrix, crop, cv2.INTER_LINEAR), table),
        np.moveaxis(np.stack(layers), 0, -1),
        warp(ignore.view(np.uint8), matrix, crop, cv2.INTER_NEAREST).astype(bool),
    )


def random_geometry(size: Size, crop: int, config: Augment, rng: np.random.Generator) -> np.ndarray:
    """float64 [3, 3]: resize, flip, quarter turns, shift and rotation, then padding and crop."""
    scale = rng.uniform(*config.scale)
    new_size = (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
    matrix = resize_matrix(size, new_size)
    matrix, size = random_turns(matrix, new_size, config, rng)
    top, left = (_crop_start(side, crop, rng) for side in size)
    return translation_matrix(-top, -left) @ matrix


def zoom_geometry(
    size: Size, box: np.ndarray, crop: int, config: Augment, rng: np.random.Generator
) -> np.ndarray:
    """float64 [3, 3]: the same with a crop about a box (y, x, height, width) of the picture."""
    assert config.zoom is not None
    share = np.exp(rng.uniform(*np.log(config.zoom)))
    scale = np.clip(share * crop / max(box[2:]), *config.scale)
    aspect = config.aspect ** rng.uniform(-0.5, 0.5)
    scales = np.array([scale * aspect, scale / aspect])
    scales *= max(1.0, *(crop / (scales * size)))  # the picture fills the crop
    new_size = (round(size[0] * scales[0]), round(size[1] * scales[1]))
    matrix = resize_matrix(size, new_size)
    matrix, size = random_turns(matrix, new_size, config, rng)
    corners = np.array([[box[1], box[1] + box[3] - 1], [box[0], box[0] + box[2] - 1], [1, 1]])
    x, y = np.sort((matrix @ corners)[:2])
    starts = []
    for (first, last), side in ((y, size[0]), (x, size[1])):
        low, high = sorted((last - crop + 1, first))  # where the crop holds all of the box
        start = round(rng.uniform(low, high))
        starts.append(int(np.clip(start, 0, max(side - crop, 0))))
    return translation_matrix(-starts[0], -starts[1]) @ matrix


def random_box(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int [4]: (y, x, height, width) of an object, or of the whole picture where there is none.

    labels: int32 [h, w, layers], 0 = background.
    """
    layer = labels[..., rng.integers(labels.shape[-1])]
    ids = np.unique(layer)
    ids = ids[ids > 0]
    if not len(ids):
        return np.array([0, 0, *layer.shape])
    x, y, width, height = cv2.boundingRect((layer == rng.choice(ids)).astype(np.uint8))
    return np.array([y, x, height, width])


def random_turns(
    matrix: np.ndarray, size: Size, config: Augment, rng: np.random.Generator
) -> tuple[np.ndarray, Size]:
    """`matrix`, then flip, quarter turns, shift and rotation; and the size that they lead to."""
    if rng.random() < config.flip:
        vertical, horizontal = ((True, False), (False, True), (True, True))[rng.integers(3)]
        matrix = flip_matrix(size, vertical, horizontal) @ matrix
    if rng.random() < config.rotate90:
        turns = int(rng.integers(4))  # none is among them, as in albumentations
        matrix = rotate90_matrix(size, turns) @ matrix
        size = size if turns % 2 == 0 else size[::-1]
    if rng.random() < config.shift_rotate:
        dy, dx = rng.uniform(-config.shift, config.shift, 2) * size
        degrees = rng.uniform(-config.degrees, config.degrees)
        matrix = shift_rotate_matrix(size, dy, dx, degrees) @ matrix
    return matrix, size


def _crop_start(side: int, crop: int, rng: np.random.Generator) -> int:
    """First row or column of the crop; negative where a short side is padded, evenly."""
    return int(rng.integers(side - crop + 1)) if side > crop else -((crop - side) // 2)


def resize_matrix(size: Size, new_size: Size) -> np.ndarray:
    """Resizes so that the outer edges of the pixels, not their centres, fall together."""
    (height, width), (new_height, new_width) = size, new_size
    sy, sx = new_height / height, new_width / width
    return np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]])


def flip_matrix(size: Size, vertical: bool, horizontal: bool) -> np.ndarray:
    """Mirrors rows (vertical), columns (horizontal) or both."""
    height, width = size
    sy, ty = (-1, height - 1) if vertical else (1, 0)
    sx, tx = (-1, width - 1) if horizontal else (1, 0)
    return np.array([[sx, 0, tx], [0, sy, ty], [0, 0, 1]], float)


def rotate90_matrix(size: Size, turns: int) -> np.ndarray:
    """Turns by quarters, counterclockwise as seen, as np.rot90 does."""
    matrix = np.eye(3)
    height, width = size
    for _ in range(turns):
        matrix = np.array([[0, 1, 0], [-1, 0, width - 1], [0, 0, 1]], float) @ matrix
        height, width = width, height
    return matrix


def shift_rotate_matrix(size: Size, dy: float, dx: float, degrees: float) -> np.ndarray:
    """Rotates about the centre, counterclockwise as seen, then shifts by pixels."""
    cy, cx = (size[0] - 1) / 2, (size[1] - 1) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return translation_matrix(cy + dy, cx + dx) @ turn @ translation_matrix(-cy, -cx)


def translation_matrix(dy: float, dx: float) -> np.ndarray:
    """Shifts by pixels."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], float)


def warp(pixels: np.ndarray, matrix: np.ndarray, side: int, interpolation: int) -> np.ndarray:
    """`pixels` [h, w(, 3)] moved by `matrix` into [side, side(, 3)], zeros around.

    Only the part of the picture that is seen is handed to OpenCV, which refuses sides of 32768
    and more.
    """
    inverse = np.linalg.inv(matrix)
    corners = inverse[:2] @ [[0, side - 1, 0, side - 1], [0, 0, side - 1, side - 1], [1, 1, 1, 1]]
    limit = np.array(pixels.shape[1::-1])
    left, top = np.clip(np.floor(corners.min(1)).astype(int) - 2, 0, limit - 1)
    right, bottom = np.clip(np.ceil(corners.max(1)).astype(int) + 3, 1, limit)
    return cv2.warpAffine(
        pixels[top:bottom, left:right],
        (translation_matrix(-top, -left) @ inverse)[:2],
        (side, side),
        flags=interpolation | cv2.WARP_INVERSE_MAP,
    )


def random_colours(config: Augment, rng: np.random.Generator) -> np.ndarray:
    """uint8 [1, 256, 3]: what becomes of each value of each channel."""
    table = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    if rng.random() < config.brightness_contrast:
        brightness, contrast = rng.uniform(*config.brightness), rng.uniform(*config.contrast)
        table = brightness_contrast(table, brightness, contrast)
    if rng.random() < config.rgb_shift:
        limit = config.rgb_shift_limit
        table = rgb_shift(table, rng.uniform(-limit, limit, 3))
    return table


def brightness_contrast(values: np.ndarray, brightness: float, contrast: float) -> np.ndarray:
    """uint8 values * (1 + contrast) + brightness * 255, truncated."""
    changed = values.astype(np.float32) * (1 + contrast) + brightness * 255
    return np.clip(changed, 0, 255).astype(np.uint8)


def rgb_shift(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """uint8 values [..., 3] + a shift [3] per channel, truncated."""
    return np.clip(values + shift.astype(np.float32), 0, 255).astype(np.uint8)
