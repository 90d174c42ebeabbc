"""The TFDS builder of `synthetic`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """Synthetic scenes."""
