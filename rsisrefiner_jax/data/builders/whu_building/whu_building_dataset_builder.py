"""The TFDS builder of `whu_building`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """WHU Building."""
