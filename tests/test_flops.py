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


def test_one_round_of_every_loop():
    x = jnp.ones((3, 3))
    twice = lambda x: jax.lax.scan(lambda c, _: (c @ c, None), x, length=2)[0]  # noqa: E731
    halved = lambda x: jax.lax.while_loop(lambda c: c.sum() > 1, lambda c: c @ c / 2, x)  # noqa: E731
    assert flops(twice, x, rounds=None) == flops(halved, x, rounds=None) == 2 * 27
    assert (flops(twice, x), flops(halved, x, rounds=5)) == (2 * 2 * 27, 5 * 2 * 27)


def test_what_nothing_uses_does_not_count():
    def both(x):
        jax.vmap(lambda x: x @ x)(x[None])
        return x @ x.T

    assert flops(both, jnp.zeros((3, 3))) == 2 * 27


def test_the_gradient_of_a_strided_convolution_takes_as_much_as_the_convolution():
    x, kernel = jnp.zeros((1, 8, 8, 3)), jnp.zeros((2, 2, 3, 5))
    conv = lambda x, k: jax.lax.conv_general_dilated(  # noqa: E731
        x, k, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    forward = flops(conv, x, kernel)
    assert forward == 2 * (4 * 4 * 5) * (2 * 2 * 3)
    for argument in (0, 1):
        gradient = jax.grad(lambda x, k: conv(x, k).sum(), argument)
        assert flops(gradient, x, kernel) == forward


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
