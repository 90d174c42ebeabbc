"""The model of a checkpoint, ready to segment windows of rasters."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsisrefiner_jax.annotate.segmenter import Segmenter

if TYPE_CHECKING:
    import jax


def load(
    checkpoint: str | Path, overrides: Sequence[str] = (), device: "jax.Device | None" = None
) -> Segmenter:
    """The model of a checkpoint, compiled. Raises UserError: there is none.

    Args:
        overrides: of its configuration, as model.image_size=448.
        device: where it computes, within `jax.default_device` of the same; None: jax's choice.
    """
    # Takes seconds, while the annotator's server answers already.
    import jax

    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.checkpoint.loading import load_model
    from rsisrefiner_jax.interaction.session import Programs

    parallel.keep_compiled_programs(shortest=0)  # many small ones, for every size of window
    loaded = load_model(checkpoint, overrides)
    variables = loaded.variables if device is None else jax.device_put(loaded.variables, device)
    return Segmenter(Programs(loaded.model, variables, loaded.config.protocol))
