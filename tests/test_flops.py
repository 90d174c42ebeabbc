"""What an answer of a network takes, counted without computing it."""

import dataclasses

import jax
import jax.numpy as jnp

from benchmarks.cost import multiply_adds
from rsisrefiner_jax.models.flops import click_flops, flops
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from tests import tiny


def test_operations_of_products():
    x = jnp.zeros((3, 5))
    assert flops(lambda x: x @ x.T, x) == 2 * 3 * 3 * 5
    assert flops(lambda x: jax.lax.scan(lambda c, _: (c @ c, None), x @ x.T, length=4)[0], x) == (
        2 * 3 * 3 * 5 + 4 * 2 * 27
    )


def test_a_first_click_takes_two_passes_on_one_picture():
    variables = abstract_variables(tiny.MODEL)
    model = make_model(tiny.MODEL)
    found = click_flops(model, variables, 20)
    assert found["later_click"] == 2 * multiply_adds(tiny.MODEL, variables).total()
    image = jnp.zeros((1, tiny.SIZE, tiny.SIZE, 3))
    encode = lambda v, x: model.apply(v, x, method="encode_image")  # noqa: E731
    picture = flops(encode, variables, image)
    assert 0 < picture < found["later_click"]
    assert found["first_click"] == 2 * found["later_click"] - picture
    single = dataclasses.replace(tiny.MODEL, first_pass="single")
    found = click_flops(make_model(single), variables, 20)
    assert found["first_click"] == found["later_click"]
