"""Floating-point operations of a function, counted in what it is traced to."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

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


def flops(function: Callable, *args: Any, rounds: int = 1) -> int:
    """Operations (2 a multiply-add) of the matrix products and convolutions of `function(*args)`.

    rounds: of loops whose length is not known; XLA's own count takes one round of every loop.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr, rounds)


def _count(jaxpr: Any, rounds: int) -> int:
    return sum(_equation(equation, rounds) for equation in jaxpr.eqns)


def _equation(equation: Any, rounds: int) -> int:
    params = equation.params
    match equation.primitive.name:
        case "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            return 2 * _size(equation.outvars[0]) * math.prod(left[i] for i in contracted)
        case "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = kernel[params["dimension_numbers"].rhs_spec[0]]
            return 2 * _size(equation.outvars[0]) * math.prod(kernel) // features
        case "scan":
            return params["length"] * _count(params["jaxpr"].jaxpr, rounds)
        case "while":
            return rounds * _count(params["body_jaxpr"].jaxpr, rounds)
        case "cond":  # alternatives that do the same, or one of which does nothing
            return max(_count(branch.jaxpr, rounds) for branch in params["branches"])
    return sum(_count(inner, rounds) for value in params.values() for inner in _jaxprs(value))


def _jaxprs(value: Any) -> list[Any]:
    if isinstance(value, core.ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, core.Jaxpr):
        return [value]
    return []


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)
