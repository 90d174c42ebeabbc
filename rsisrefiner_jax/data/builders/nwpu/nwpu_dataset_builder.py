"""The TFDS builder of `nwpu`."""

from rsisrefiner_jax.data.builders.base import SceneBuilder


class Builder(SceneBuilder):
    """NWPU VHR-10, positive image set."""
