"""Floating-point operations of a function, counted in what it is traced to."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import partial_eval

from rsisrefiner_jax.interaction.click_model import ClickModel
from rsisrefiner_jax.interaction.clicks import empty


def click_flops(model: ClickModel, variables: Any, max_clicks: int) -> dict[str, int]:
    """{"first_click", "later_click"}: operations of one answer to a new picture without mirroring.

    later_click: one pass of the network, what the paper's Table IV means (it counts with thop,
    which leaves attention out and takes some transposed convolutions fourfold). The picture's
    share, which later clicks on the same crop do not compute again, is in both.
    """
    s = model.image_size
    image, prev_mask = jnp.zeros((1, s, s, 3)), jnp.zeros((1, s, s))

    def answer(variables: Any, image: jax.Array, prev_mask: jax.Array) -> Any:
        features = model.apply(variables, image, method="encode_image")
        given = (features, prev_mask, empty(1, max_clicks))
        return model.apply(variables, *given, method="predict")

    inputs = (variables, image, prev_mask)
    return {
        "first_click": flops(answer, *inputs, rounds=model.first_passes),
        "later_click": flops(answer, *inputs),
    }


def flops(function: Callable, *args: Any, rounds: int | None = 1) -> int:
    """Operations (2 a multiply-add) of the matrix products and convolutions of `function(*args)`.

    Without those whose results nothing uses, and those with the zeros that a gradient puts
    between the values of a strided convolution. rounds: of loops whose length is not known;
    None: one round of every loop, as XLA counts.
    """
    return operations(function, *args, rounds=rounds).total()


def operations(function: Callable, *args: Any, rounds: int | None = 1) -> Counter[str]:
    """The same by module: {"backbone/block_0/mlp/fc1": operations}; "" outside of any.

    What resizing takes, which here is a matrix product too, has names that end in "resize".
    """
    traced = jax.make_jaxpr(function)(*args).jaxpr
    used, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
    return _count(used, rounds, ())


def _count(jaxpr: Any, rounds: int | None, scope: tuple[str, ...]) -> Counter[str]:
    total: Counter[str] = Counter()
    for equation in jaxpr.eqns:
        total += _equation(equation, rounds, scope)
    return total


def _equation(equation: Any, rounds: int | None, scope: tuple[str, ...]) -> Counter[str]:
    params = equation.params
    scope = (*scope, *str(equation.source_info.name_stack).split("/"))
    match equation.primitive.name:
        case "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            factors = math.prod(left[i] for i in contracted)
        case "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = kernel[params["dimension_numbers"].rhs_spec[0]]
            factors = math.prod(kernel) / features / math.prod(params["lhs_dilation"])
        case "mul" if "depthwise" in scope:  # a convolution as a sum of shifted products
            factors = 1
        case "scan":
            inner = _count(params["jaxpr"].jaxpr, rounds, scope)
            length = 1 if rounds is None else params["length"]
            return Counter({name: length * n for name, n in inner.items()})
        case "while":
            inner = _count(params["body_jaxpr"].jaxpr, rounds, scope)
            times = 1 if rounds is None else rounds
            return Counter({name: times * n for name, n in inner.items()})
        case "cond":  # alternatives that do the same, or one of which does nothing
            branches = (_count(branch.jaxpr, rounds, scope) for branch in params["branches"])
            return max(branches, key=Counter.total)
        case _:
            total: Counter[str] = Counter()
            for inner in (found for value in params.values() for found in _jaxprs(value)):
                total += _count(inner, rounds, scope)
            return total
    size = math.prod(equation.outvars[0].aval.shape)
    return Counter({_module(scope): round(2 * size * factors)})


def _module(scope: tuple[str, ...]) -> str:
    """The path of a module: without the network's own name, methods and what einsum calls itself.

    Flax names a scope "module" or "module.method", the network itself as its class.
    """
    if "resize" in scope:
        scope = scope[: scope.index("resize") + 1]
    parts = [part.split(".")[0] for part in scope if part and part.isascii() and "->" not in part]
    return "/".join(part for part in parts if part[0].islower() and not part.endswith(")"))


def _jaxprs(value: Any) -> list[Any]:
    if isinstance(value, core.ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, core.Jaxpr):
        return [value]
    return []
