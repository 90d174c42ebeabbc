"""Against numbers of torchvision's CPU kernel, forward and gradients."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsisrefiner_jax.ops.deform_conv import deform_conv

GOLDEN = np.load(Path(__file__).parent / "goldens/deform_conv.npz")


def _case(name: str) -> dict[str, jax.Array]:
    """Arrays of one case, moved from NCHW / OIHW to NHWC / HWIO."""
    case = {key[2:]: jnp.asarray(GOLDEN[key]) for key in GOLDEN.files if key.startswith(name + "/")}
    for key, value in case.items():
        if value.ndim == 4:
            axes = (2, 3, 1, 0) if "weight" in key else (0, 2, 3, 1)
            case[key] = value.transpose(axes)
    return case


# a: offsets up to 6 px; b: whole and half offsets, on the edges and far outside; c: no offset.
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_equals_the_reference_kernel(name: str) -> None:
    case = _case(name)
    inputs = [case[key] for key in ("input", "offset", "weight", "bias")]
    out, vjp = jax.vjp(jax.jit(deform_conv), *inputs)
    np.testing.assert_allclose(out, case["output"], atol=1e-5)
    for key, grad in zip(("input", "offset", "weight", "bias"), vjp(case["grad_out"]), strict=True):
        np.testing.assert_allclose(grad, case["grad_" + key], atol=1e-4, err_msg=key)


def test_without_offset_it_is_a_convolution() -> None:
    case = _case("c")
    expected = jax.lax.conv_general_dilated(
        case["input"], case["weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    out = deform_conv(case["input"], jnp.zeros_like(case["offset"]), case["weight"])
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_samples_do_not_mix_and_vmap_agrees() -> None:
    case = _case("a")
    x, offset, kernel = case["input"], case["offset"], case["weight"]
    together = jax.jit(deform_conv)(x, offset, kernel)
    swapped = jax.jit(deform_conv)(x[::-1], offset[::-1], kernel)
    mapped = jax.vmap(lambda x, offset: deform_conv(x[None], offset[None], kernel)[0])(x, offset)
    np.testing.assert_array_equal(together, swapped[::-1])
    np.testing.assert_allclose(together, mapped, atol=1e-5)


def test_bfloat16_keeps_float32_coordinates() -> None:
    """A row beyond 256, where bfloat16 cannot tell neighbouring pixels apart."""
    x = jnp.arange(300.0)[None, :, None, None] % 7
    offset = jnp.zeros((1, 300, 1, 2))
    kernel = jnp.ones((1, 1, 1, 1))
    out, vjp = jax.vjp(deform_conv, *(a.astype(jnp.bfloat16) for a in (x, offset, kernel)))
    assert out.dtype == jnp.bfloat16
    np.testing.assert_array_equal(out.astype(jnp.float32), x)
    assert all(grad.dtype == jnp.bfloat16 for grad in vjp(out))
