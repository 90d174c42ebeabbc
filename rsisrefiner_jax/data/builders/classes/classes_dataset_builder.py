"""The TFDS builder of `classes`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """Pictures with class masks."""
