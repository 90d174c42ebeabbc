"""The TFDS builder of `potsdam`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """ISPRS Potsdam, cut into patches."""
