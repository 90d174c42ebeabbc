"""Click-based interactive segmentation of remote-sensing images: RS-ISRefiner in JAX.

What users of the package need:

Predictor     click objects on a picture from Python
load_model    a checkpoint's network and weights
ClickModel    what a network of one's own implements to be trained, evaluated and clicked
make_model    the network of a configuration
evaluate      simulated clicks on the objects of a data set
open_source   the data set that a SPEC names
Config, load_config, Protocol, preset    settings
UserError     bad input, said in one sentence
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsisrefiner_jax.checkpoint.loading import load_model
    from rsisrefiner_jax.config import Config
    from rsisrefiner_jax.config import load as load_config
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.errors import UserError
    from rsisrefiner_jax.evaluation.evaluate import evaluate
    from rsisrefiner_jax.interaction.click_model import ClickModel
    from rsisrefiner_jax.models.registry import make_model
    from rsisrefiner_jax.predictor import Predictor
    from rsisrefiner_jax.protocol import Protocol, preset

__all__ = [
    "ClickModel",
    "Config",
    "Predictor",
    "Protocol",
    "UserError",
    "evaluate",
    "load_config",
    "load_model",
    "make_model",
    "open_source",
    "preset",
]
_PLACES = {  # name -> its module, and its name there
    "ClickModel": ("interaction.click_model", "ClickModel"),
    "Config": ("config", "Config"),
    "Predictor": ("predictor", "Predictor"),
    "Protocol": ("protocol", "Protocol"),
    "UserError": ("errors", "UserError"),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "load_config": ("config", "load"),
    "load_model": ("checkpoint.loading", "load_model"),
    "make_model": ("models.registry", "make_model"),
    "open_source": ("data.spec", "open_source"),
    "preset": ("protocol", "preset"),
}


def __getattr__(name: str) -> Any:
    # Lazily, so that command lines answer --help without importing jax.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _PLACES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), there)
