"""The TFDS builder of `isaid`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """iSAID, cut into patches."""
