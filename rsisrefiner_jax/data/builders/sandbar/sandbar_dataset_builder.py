"""The TFDS builder of `sandbar`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """SandBar."""
