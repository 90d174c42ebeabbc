"""The TFDS builder of `coco`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """COCO instance annotations."""
