"""The synthetic picture of the goldens, by integer arithmetic only: bit-identical everywhere."""

import numpy as np


def image(seed: int, height: int = 448, width: int = 448) -> np.ndarray:
    """uint8 [height, width, 3]: shapes on a gradient, with noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    gradient = [
        40 + (x * 90) // width + (y * 40) // height,
        60 + (y * 90) // height,
        70 + ((x + y) * 50) // (height + width),
    ]
    out = np.stack(gradient, -1)
    for i in range(14):
        cy, cx = draw(seed, 10 * i, 0, height), draw(seed, 10 * i + 1, 0, width)
        ry = draw(seed, 10 * i + 2, height // 24, height // 5)
        rx = draw(seed, 10 * i + 3, width // 24, width // 5)
        if i % 2:
            inside = (np.abs(y - cy) <= ry) & (np.abs(x - cx) <= rx)
        else:
            inside = ((y - cy) * rx) ** 2 + ((x - cx) * ry) ** 2 <= (ry * rx) ** 2
        colour = [draw(seed, 10 * i + 4 + channel, 0, 256) for channel in range(3)]
        out[inside] = (out[inside] + 3 * np.array(colour)) // 4
    for channel in range(3):
        out[..., channel] += (noise(seed, height, width, channel) >> 8) % 33 - 16
    return np.clip(out, 0, 255).astype(np.uint8)


def noise(seed: int, height: int, width: int, channel: int = 0) -> np.ndarray:
    """int64 [height, width]: 32 hashed bits of every pixel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    bits = (
        x * np.uint64(73856093)
        ^ y * np.uint64(19349663)
        ^ np.uint64((seed * 83492791 + channel * 2654435761) & 0xFFFFFFFF)
    )
    bits &= np.uint64(0xFFFFFFFF)
    bits ^= bits >> np.uint64(15)
    bits = (bits * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    bits ^= bits >> np.uint64(13)
    return bits.astype(np.int64)


def draw(seed: int, index: int, low: int, high: int) -> int:
    """The integer number `index` of a tiny counter-based generator, in [low, high)."""
    v = (seed * 1000003 + index * 7919 + 12345) & 0xFFFFFFFF
    v ^= v >> 16
    v = (v * 2246822519) & 0xFFFFFFFF
    v ^= v >> 13
    v = (v * 3266489917) & 0xFFFFFFFF
    v ^= v >> 16
    return low + v % (high - low)
