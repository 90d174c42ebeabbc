"""Pictures as pretrained backbones know them: ImageNet's mean and deviation, one channel order."""

from typing import Literal

import numpy as np
from jax import Array
from jaxtyping import Float

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def normalise(
    image: Float[Array, "b h w 3"], channel_order: Literal["rgb", "bgr"]
) -> Float[Array, "b h w 3"]:
    """image: RGB in 0..1. channel_order: of the pictures that the weights were trained on."""
    if channel_order == "bgr":
        image = image[..., ::-1]
    return (image - MEAN) / STD
