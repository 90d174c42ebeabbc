"""What stands between the ground and the file: optics, atmosphere, sensor, compression."""

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
    rgb *= (light * np.float32(1 - haze))[..., None]
    rgb *= gain
    rgb += veil
    strength = np.float32(rng.uniform(0.5, 5.0))
    if rng.random() < 0.12:
        grey = rgb @ np.array((0.35, 0.5, 0.15), np.float32)
        rgb = np.repeat((grey + strength * noise(rng, size, 1))[..., None], 3, axis=2)
    else:
        for channel in range(3):
            rgb[..., channel] += strength * noise(rng, size, 1)
    curve = 255 * (np.arange(256) / 255) ** rng.uniform(0.75, 1.3)
    image = cv2.LUT(cv2.convertScaleAbs(np.maximum(rgb, 0)), curve.astype(np.uint8))
    if rng.random() < 0.25:
        quality = int(rng.integers(55, 92))
        _, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])
    return image


def _infrared(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour infrared: plants, dull green to the eye, are bright in the near infrared."""
    red, green, blue = cv2.split(rgb)
    infrared = green + 2.2 * np.maximum(2 * green - red - blue, 0)
    infrared = infrared * np.where(blue > red + 8, np.float32(0.6), np.float32(1))  # water, dark
    if rng.random() < 0.5:
        return cv2.merge([infrared, red, green])
    return cv2.merge([red, infrared, green])
