"""The TFDS builder of `geo`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """A georeferenced raster with polygons."""
