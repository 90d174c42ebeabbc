"""A network between the one before a fine-tuning and the one trained further.

A network that was trained on a few dozen objects finds others with fewer clicks at first and is
worse in the details, which it had learned from thousands. Weights in between keep most of both
(Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

import dataclasses
from pathlib import Path

import jax

from rsisrefiner_jax.checkpoint.export import export_weights
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.models.lora import merge_lora

SHARE = 0.7  # of the way from the network before to the one trained further


def blend(before: str, trained: Path, destination: Path) -> None:
    """Writes a checkpoint whose weights and BatchNorm statistics lie between those of two others.

    before: a packaged network's name or a checkpoint. trained: a run that began with it.

    Raises:
        UserError: one of them cannot be read, or the destination is in use.
    """
    old, new = load_weights(before), load_weights(trained)
    first = {"params": merge_lora(old.config.model, old.params), "batch_stats": old.batch_stats}
    last = {"params": merge_lora(new.config.model, new.params), "batch_stats": new.batch_stats}
    between = jax.tree.map(lambda x, y: (x + SHARE * (y - x)).astype(y.dtype), first, last)
    export_weights(dataclasses.replace(new, **between), new.config, destination)
