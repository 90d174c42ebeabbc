"""The TFDS builder of `loveda_urban`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """LoveDA, urban scenes."""
