"""The two functions of a click model, weights included, as StableHLO that jax reads."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.checkpoint.loading import LoadedModel
from rsisrefiner_jax.interaction.clicks import Clicks

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
ABOUT = "export.json"
MEANING = {
    "image": "RGB in 0..1, a square crop",
    "features": "what encode_image returned for the crop, in this order",
    "prev_mask": "probabilities of the last answer; all zero where there was none",
    "clicks_yx": "(y, x) of each click in pixels of the crop, in the order made; -1 where unused",
    "clicks_label": "1 positive, 0 negative, -1 unused",
    "logits": "of the object; their sigmoid is a probability",
}
Shape = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Function:
    """One exported function of positional arrays."""

    exported: export.Exported
    inputs: tuple[str, ...]  # names
    outputs: tuple[str, ...]


def write(loaded: LoadedModel, directory: Path) -> int:
    """Writes both functions and what they are into a new directory; the number of bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    size, about = 0, _about(loaded)
    for name, function in functions(loaded).items():
        data = function.exported.serialize()
        size += len(data)
        file = f"{name}.jax_export"
        with atomic_file(directory / file) as opened:
            opened.write(data)
        about["functions"][name] = {"file": file} | _signature(function)
    with atomic_file(directory / ABOUT) as opened:
        opened.write(json.dumps(about, indent=1).encode())
    return size


def functions(loaded: LoadedModel) -> dict[str, Function]:
    """encode_image and predict for any batch b and any number of click slots k.

    Both take and return plain arrays: what the features are made of is known to this package only.
    """
    model, variables = loaded.model, jax.tree.map(np.asarray, loaded.variables)  # as constants
    side = model.image_size
    b, k = export.symbolic_shape("b, k")

    def encode(image: Any) -> Any:
        return model.apply(variables, image, method="encode_image")

    image = Shape((b, side, side, 3), jnp.float32)
    features, structure = jax.tree.flatten(jax.eval_shape(encode, image))

    def predict(*given: Any) -> Any:
        *leaves, prev_mask, yx, label = given
        clicks = Clicks(yx, label)
        found = jax.tree.unflatten(structure, leaves)
        return (model.apply(variables, found, prev_mask, clicks, method="predict"),)

    names = tuple(f"features_{i}" for i in range(len(features)))
    clicked = (
        Shape((b, side, side), jnp.float32),
        Shape((b, k, 2), jnp.float32),
        Shape((b, k), jnp.int32),
    )
    encoded = _export(lambda image: tuple(jax.tree.leaves(encode(image))), [image])
    answered = _export(predict, [*features, *clicked])
    return {
        "encode_image": Function(encoded, ("image",), names),
        "predict": Function(
            answered, (*names, "prev_mask", "clicks_yx", "clicks_label"), ("logits",)
        ),
    }


def _export(function: Callable[..., Any], shapes: Sequence[Shape]) -> export.Exported:
    return export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)


def _signature(function: Function) -> dict[str, Any]:
    def arrays(names: tuple[str, ...], avals: Sequence[Any]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "shape": [side if isinstance(side, int) else str(side) for side in aval.shape],
                "dtype": str(aval.dtype),
                "meaning": MEANING[name.split("_")[0] if name.startswith("features") else name],
            }
            for name, aval in zip(names, avals, strict=True)
        ]

    return {
        "inputs": arrays(function.inputs, function.exported.in_avals),
        "outputs": arrays(function.outputs, function.exported.out_avals),
    }


def _about(loaded: LoadedModel) -> dict[str, Any]:
    protocol = loaded.config.protocol
    return {
        "format": "stablehlo, serialized by jax.export",
        "network": loaded.config.name,
        "step": loaded.step,
        "image_size": loaded.model.image_size,
        "threshold": protocol.pred_thr,  # a pixel above it is object
        "model": dataclasses.asdict(loaded.config.model),
        "jax": version("jax"),
        "platforms": PLATFORMS,
        "functions": {},
    }
