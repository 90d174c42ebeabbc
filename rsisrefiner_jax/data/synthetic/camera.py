"""The simulated sensor: blur of the optics, haze, noise and compression."""

import cv2
import numpy as np

from rsisrefiner_jax.data.synthetic.terrain import noise


def photograph(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 [size, size, 3] scene colours 0..255 -> uint8 picture of the same shape."""
    size = len(rgb)
    rgb = cv2.GaussianBlur(rgb, (5, 5), rng.uniform(0.3, 0.95))
    if rng.random() < 0.1:
        rgb = _infrared(rgb, rng)
    # Illumination: a slope across the picture and darker corners.
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    slope_y, slope_x = rng.normal(0, 0.04, 2).astype(np.float32)
    corner = np.float32(rng.uniform(0, 0.08))
    light = (1 + slope_y * axis - corner * axis**2)[:, None] + (slope_x * axis - corner * axis**2)
    # Sensor gain per channel, then contrast and haze.
    gain = (rng.normal(1, 0.06, 3) * rng.uniform(0.75, 1.2)).astype(np.float32)
    haze = rng.uniform(0, 0.28) if rng.random() < 0.4 else 0.0
    veil = np.array((176, 186, 198), np.float32) * np.float32(haze)
    light *= np.float32(1 - haze)
    bands = zip(cv2.split(rgb), gain, veil, strict=True)
    planes = [plane * (light * factor) + offset for plane, factor, offset in bands]
    if rng.random() < 0.12:  # panchromatic
        planes = [np.float32(0.35) * planes[0] + 0.5 * planes[1] + np.float32(0.15) * planes[2]]
    strength = np.float32(rng.uniform(0.5, 5.0))
    planes = [np.clip(plane + strength * noise(rng, size, 1), 0, 255) for plane in planes]
    digits = cv2.merge([plane.astype(np.uint8) for plane in planes * (3 // len(planes))])
    curve = 255 * (np.arange(256) / 255) ** rng.uniform(0.75, 1.3)
    image = cv2.LUT(digits, curve.astype(np.uint8))
    if rng.random() < 0.25:
        quality = int(rng.integers(55, 92))
        _, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB))
    return image


def _infrared(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour infrared: plants, dull green to the eye, are bright in the near infrared."""
    red, green, blue = cv2.split(rgb)
    infrared = green + 2.2 * np.maximum(2 * green - red - blue, 0)
    infrared *= np.clip(1 - (blue - red) / 60, 0.5, 1)  # water is dark
    if rng.random() < 0.5:
        return cv2.merge([infrared, red, green])
    return cv2.merge([red, infrared, green])
