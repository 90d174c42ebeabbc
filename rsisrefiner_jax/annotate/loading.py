"""The model of a checkpoint, ready to segment windows of rasters."""

from collections.abc import Sequence
from pathlib import Path

from rsisrefiner_jax.annotate.segmenter import Segmenter


def load(checkpoint: str | Path, overrides: Sequence[str] = ()) -> Segmenter:
    """The model of a checkpoint, compiled. Raises UserError: there is none.

    overrides: of its configuration, as model.image_size=448.
    """
    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.checkpoint.loading import load_model
    from rsisrefiner_jax.interaction.session import Programs

    parallel.keep_compiled_programs(shortest=0)  # many small ones, for every size of window
    loaded = load_model(checkpoint, overrides)
    return Segmenter(Programs(loaded.model, loaded.variables, loaded.config.protocol))
