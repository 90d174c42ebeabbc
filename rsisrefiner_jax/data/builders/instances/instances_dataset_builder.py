"""The TFDS builder of `instances`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """Pictures with id masks."""
