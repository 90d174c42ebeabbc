"""Deformable convolution, version 1 (Dai et al., "Deformable Convolutional Networks", 2017)."""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from rsisrefiner_jax.ops.precision import precision_here, wide, wide_dtype


def deform_conv(x: Array, offset: Array, kernel: Array, bias: Array | None = None) -> Array:
    """Convolution whose taps are moved by learned offsets; stride 1, dilation 1, same size.

    Tap n = k * i + j reads `x` bilinearly at (y - p + i + dy, x - p + j + dx), p = (k - 1) / 2;
    pixels outside the map count as zero, each of the four neighbours on its own.

    Args:
        x: float [b, h, w, c].
        offset: float [b, h, w, 2 * k * k], pixels; channel 2n is dy and 2n + 1 is dx of tap n.
        kernel: float [k, k, c, d], k odd.
        bias: float [d].
    Returns:
        [b, h, w, d] in the dtype of `x`.
    """
    b, h, w, c = x.shape
    k, _, _, d = kernel.shape
    # The batch is flattened into the rows: one plain gather or scatter is far quicker on CPU
    # than a batched one.
    out = _sample_and_project(
        (h, w),
        precision_here(),
        x.reshape(b * h * w, c),
        _tap_positions(offset, k),
        kernel.reshape(k * k, c, d),
    ).reshape(b, h, w, d)
    return out if bias is None else out + bias.astype(out.dtype)


def _tap_positions(offset: Array, k: int) -> Array:
    """Where each tap reads: (y, x) float [k * k, b * h * w, 2], at least float32."""
    b, h, w, _ = offset.shape
    moved = wide(offset).reshape(b, h, w, k * k, 2)  # bfloat16 cannot count pixels
    pixel = jnp.stack(jnp.meshgrid(jnp.arange(h), jnp.arange(w), indexing="ij"), -1)
    tap = jnp.stack(jnp.divmod(jnp.arange(k * k), k), -1) - (k - 1) // 2
    rest = (pixel[:, :, None] + tap).astype(moved.dtype)
    return jnp.moveaxis(moved + rest, 3, 0).reshape(k * k, b * h * w, 2)


# One tap at a time: only one [n, c] map of samples lives at once. The gradient is spelled out
# because automatic differentiation would keep (or gather again) four such maps for every tap and
# give each corner's scatter a zero map of its own: a quarter more time, five times the memory.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _sample_and_project(
    size: tuple[int, int], precision: str | None, x: Array, yx: Array, kernel: Array
) -> Array:
    """Sum over taps of (samples of x at yx) @ kernel: [n, c], [k*k, n, 2], [k*k, c, d] -> [n, d].

    n = b * h * w rows, sample after sample.
    """

    def add_tap(total: Array, tap: tuple[Array, Array]) -> tuple[Array, None]:
        yx, weight = tap
        return total + _matmul(_sample(size, x, yx), weight, precision), None

    total = jnp.zeros((x.shape[0], kernel.shape[-1]), wide_dtype(x))
    return jax.lax.scan(add_tap, total, (yx, kernel))[0].astype(x.dtype)


def _forward(
    size: tuple[int, int], precision: str | None, x: Array, yx: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    return _sample_and_project(size, precision, x, yx, kernel), (x, yx, kernel)


def _backward(
    size: tuple[int, int],
    precision: str | None,
    saved: tuple[Array, Array, Array],
    grad_out: Array,
) -> tuple[Array, Array, Array]:
    x, yx, kernel = saved

    def tap_grads(grad_x: Array, tap: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        yx, weight = tap
        grad_samples = _matmul(grad_out, weight.T, precision).astype(x.dtype)
        grad_x, grad_yx, samples = _sample_grads(size, precision, grad_x, x, yx, grad_samples)
        grad_weight = jnp.einsum(
            "nc,nd->cd",
            samples,
            grad_out,
            precision=precision,
            preferred_element_type=wide_dtype(x),
        )
        return grad_x, (grad_yx, grad_weight.astype(kernel.dtype))

    grad_x, (grad_yx, grad_kernel) = jax.lax.scan(
        tap_grads, jnp.zeros(x.shape, wide_dtype(x)), (yx, kernel)
    )
    return grad_x.astype(x.dtype), grad_yx, grad_kernel


_sample_and_project.defvjp(_forward, _backward)


def _sample(size: tuple[int, int], x: Array, yx: Array) -> Array:
    """Bilinear samples [n, c] of the maps x [n, c] at yx [n, 2]."""
    return sum(
        _take(x, index) * weight.astype(x.dtype)[:, None]
        for index, weight, _, _ in _corners(size, yx)
    )  # type: ignore[return-value]


def _sample_grads(
    size: tuple[int, int],
    precision: str | None,
    grad_x: Array,
    x: Array,
    yx: Array,
    grad: Array,
) -> tuple[Array, Array, Array]:
    """Adds the gradient of `_sample` to grad_x; returns it, the gradient of yx, the samples."""
    grad_yx = jnp.zeros_like(yx)
    samples = jnp.zeros_like(grad)
    for index, weight, slope_y, slope_x in _corners(size, yx):
        value = _take(x, index)
        samples += value * weight.astype(x.dtype)[:, None]
        # A product, not a sum: XLA would gather once more inside the sum, at twice the time.
        inner = jnp.einsum(
            "nc,nc->n", value, grad, precision=precision, preferred_element_type=yx.dtype
        )
        grad_yx += jnp.stack([inner * slope_y, inner * slope_x], -1)
        update = grad.astype(grad_x.dtype) * weight.astype(grad_x.dtype)[:, None]
        grad_x = grad_x.at[index].add(update, mode="promise_in_bounds")
    return grad_x, grad_yx, samples


def _corners(size: tuple[int, int], yx: Array) -> list[tuple[Array, Array, Array, Array]]:
    """The four neighbours: row of x int32 [n], weight [n] and its slopes in y and in x.

    Outside the map weight and slopes are zero. The low corner is floor(yx), so that at whole
    coordinates the slope is the one to the right, as in the CPU and CUDA kernels of the field.
    """
    h, w = size
    first_row = jnp.arange(yx.shape[0], dtype=jnp.int32) // (h * w) * (h * w)  # of the own sample
    y, x = yx[:, 0], yx[:, 1]
    y0, x0 = jnp.floor(y), jnp.floor(x)
    corners = []
    for down in (0, 1):
        for right in (0, 1):
            row, col = y0 + down, x0 + right
            inside = (row >= 0) & (row < h) & (col >= 0) & (col < w)
            weight_y = y - y0 if down else y0 + 1 - y
            weight_x = x - x0 if right else x0 + 1 - x
            index = jnp.clip(row, 0, h - 1) * w + jnp.clip(col, 0, w - 1)
            corners.append(
                (
                    first_row + index.astype(jnp.int32),
                    weight_y * weight_x * inside,
                    (2 * down - 1) * weight_x * inside,
                    (2 * right - 1) * weight_y * inside,
                )
            )
    return corners


def _take(x: Array, index: Array) -> Array:
    return x.at[index].get(mode="promise_in_bounds")


def _matmul(a: Array, b: Array, precision: str | None) -> Array:
    b = b.astype(a.dtype)
    return jnp.matmul(a, b, precision=precision, preferred_element_type=wide_dtype(a))
