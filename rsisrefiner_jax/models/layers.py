"""Layers with PyTorch's arithmetic and initialisation, called inline: `conv(x, 64, 3, name="c")`.

Pictures are [b, h, w, c], tokens [b, n, c]; `dtype` is that of the computation, parameters are
float32. Each function makes a submodule of the Linen module that is running.
"""

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import Initializer, normal, variance_scaling, zeros
from jaxtyping import Float

from rsisrefiner_jax.ops.convolution import dense, depthwise_by_taps, pointwise
from rsisrefiner_jax.ops.deform_conv import deform_conv
from rsisrefiner_jax.ops.precision import wide


def uniform(fan_in: int) -> Initializer:
    """U(+-1/sqrt(fan_in)): PyTorch's default for weight and bias of linear and convolution."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def linear(
    x: Float[Array, "*n c"],
    features: int,
    *,
    name: str,
    bias: bool = True,
    dtype: Dtype | None = None,
) -> Float[Array, "*n {features}"]:
    """y = x W + b over the last axis."""
    init = uniform(x.shape[-1])
    return nn.Dense(
        features, use_bias=bias, kernel_init=init, bias_init=init, dtype=dtype, name=name
    )(x)


def linear_zero(
    x: Float[Array, "*n c"], features: int, *, name: str, dtype: Dtype | None = None
) -> Float[Array, "*n {features}"]:
    """y = x W + b over the last axis, which begins as zero."""
    return nn.Dense(features, kernel_init=zeros, bias_init=zeros, dtype=dtype, name=name)(x)


def conv(
    x: Float[Array, "b h w c"],
    features: int,
    size: int,
    *,
    name: str,
    stride: int = 1,
    depthwise: bool = False,
    dtype: Dtype | None = None,
) -> Float[Array, "b h/{stride} w/{stride} {features}"]:
    """size x size convolution with zero padding (size - 1) // 2."""
    groups = x.shape[-1] if depthwise else 1
    init = uniform(size * size * x.shape[-1] // groups)
    return _conv(features, size, stride, groups, init, init, dtype, name)(x)


def conv_relu(
    x: Float[Array, "b h w c"],
    features: int,
    size: int,
    *,
    name: str,
    stride: int = 1,
    dtype: Dtype | None = None,
) -> Float[Array, "b h/{stride} w/{stride} {features}"]:
    """Convolution then ReLU, initialised by Kaiming's normal rule (fan out), bias 0."""
    init = normal(math.sqrt(2 / (features * size * size)))
    return nn.relu(_conv(features, size, stride, 1, init, zeros, dtype, name)(x))


def conv_he(
    x: Float[Array, "b h w c"],
    features: int,
    size: int,
    *,
    name: str,
    stride: int = 1,
    zero: bool = False,
    dtype: Dtype | None = None,
) -> Float[Array, "b h/{stride} w/{stride} {features}"]:
    """Convolution with He's initialisation (fan in), or one that begins as zero; bias 0."""
    init = zeros if zero else variance_scaling(2.0, "fan_in", "normal")
    return _conv(features, size, stride, 1, init, zeros, dtype, name)(x)


def _conv(
    features: int,
    size: int,
    stride: int,
    groups: int,
    kernel_init: Initializer,
    bias_init: Initializer,
    dtype: Dtype | None,
    name: str,
) -> nn.Conv:
    pad = (size - 1) // 2
    # On a CPU, XLA runs a 1x1 convolution at half the speed of the matrix product that it is, a
    # depthwise one at a 30th of that of the shifted sum that it is.
    convolve: Any
    if size == stride == groups == 1:
        convolve = pointwise
    else:
        convolve = depthwise_by_taps if groups == features > 1 else dense
    return nn.Conv(
        features,
        (size, size),
        stride,
        ((pad, pad), (pad, pad)),
        feature_group_count=groups,
        kernel_init=kernel_init,
        bias_init=bias_init,
        dtype=dtype,
        conv_general_dilated=convolve,
        name=name,
    )


def layer_norm(
    x: Float[Array, "*n c"], *, name: str, epsilon: float = 1e-5, dtype: Dtype | None = None
) -> Float[Array, "*n c"]:
    """Normalises the last axis."""
    return nn.LayerNorm(epsilon, use_fast_variance=False, dtype=dtype, name=name)(x)


def group_norm(
    x: Float[Array, "b h w c"], *, name: str, dtype: Dtype | None = None
) -> Float[Array, "b h w c"]:
    """GroupNorm with one group: normalises all positions and channels of a sample."""
    return nn.GroupNorm(1, epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)(x)


def gelu(x: Float[Array, "*n c"]) -> Float[Array, "*n c"]:
    """The exact (erf) GELU."""
    return nn.gelu(x, approximate=False)


class Up2(nn.Module):
    """Transposed convolution, kernel 2, stride 2: every pixel becomes a 2x2 cell.

    kernel [2, 2, in, out]: y[2i+a, 2j+b] = x[i, j] @ kernel[a, b] + bias.
    """

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w {self.features}"]:
        init = uniform(4 * self.features)
        kernel = self.param("kernel", init, (2, 2, x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        b, h, w, _ = x.shape
        y = jnp.einsum("bhwi,acio->bhawco", x, kernel) + bias
        return y.reshape(b, 2 * h, 2 * w, self.features)


class DeformConv(nn.Module):
    """3x3 deformable convolution (DCNv1) with given offsets."""

    features: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], offset: Float[Array, "b h w 18"]
    ) -> Float[Array, "b h w {self.features}"]:
        init = uniform(9 * x.shape[-1])
        kernel = self.param("kernel", init, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return deform_conv(x, wide(offset), kernel, bias)


class BatchNorm(nn.Module):
    """PyTorch's BatchNorm2d: momentum 0.1, epsilon 1e-5, unbiased running variance.

    With `axis_name` the batch statistics are those over all devices of that axis.
    """

    axis_name: str | None = None
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w c"]:
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", zeros, (channels,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        x_wide = wide(x)
        if train and not self.is_initializing():
            count = x_wide.size // channels * self._devices()
            batch_mean = self._average(x_wide.mean((0, 1, 2)))
            batch_var = self._average(jnp.square(x_wide - batch_mean).mean((0, 1, 2)))
            if self.is_mutable_collection("batch_stats"):
                mean.value = 0.9 * mean.value + 0.1 * batch_mean
                var.value = 0.9 * var.value + 0.1 * batch_var * (count / (count - 1))
        else:
            batch_mean, batch_var = mean.value, var.value
        y = (x_wide - batch_mean) * (scale * jax.lax.rsqrt(batch_var + 1e-5)) + bias
        return y.astype(self.dtype or x.dtype)

    def _average(self, x: Float[Array, " c"]) -> Float[Array, " c"]:
        return jax.lax.pmean(x, self.axis_name) if self.axis_name else x

    def _devices(self) -> int:
        return jax.lax.axis_size(self.axis_name) if self.axis_name else 1


class Attention(nn.Module):
    """Multi-head attention with one packed projection, as PyTorch's MultiheadAttention."""

    width: int  # c
    heads: int
    dtype: Dtype | None = None

    def setup(self) -> None:
        self.in_proj = PackedProjection(self.width)
        self.out_proj = nn.Dense(self.width, kernel_init=uniform(self.width), dtype=self.dtype)

    def __call__(
        self, query: Float[Array, "b n c"], key: Float[Array, "b m c"], value: Float[Array, "b m c"]
    ) -> Float[Array, " b #n c"]:
        """One answer for all queries where there is a single key: then all are the same."""
        v = self.project(value, "value")
        if key.shape[1] == 1:  # the softmax over a single key is 1, whatever the query
            return self.out_proj(v)
        return self.attend(self.project(query, "query"), self.project(key, "key"), v)

    def project(
        self, x: Float[Array, "b n c"], part: Literal["query", "key", "value"]
    ) -> Float[Array, "b n c"]:
        """The queries, keys or values of x, all heads side by side."""
        kernel, bias = self.in_proj()
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        i = ("query", "key", "value").index(part)
        columns = slice(i * self.width, (i + 1) * self.width)
        return x @ kernel[:, columns] + bias[columns]

    def attend(
        self, query: Float[Array, "b n c"], key: Float[Array, "b m c"], value: Float[Array, "b m c"]
    ) -> Float[Array, "b n c"]:
        """Attention from what `project` made."""
        return self.out_proj(attend(query, key, value, self.heads))


class PackedProjection(nn.Module):
    """The weights of the query, key and value projections, side by side."""

    width: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "c 3*c"], Float[Array, " 3*c"]]:
        shape = (self.width, 3 * self.width)
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), shape)
        return kernel, self.param("bias", zeros, shape[1:])


def attend(
    q: Float[Array, "b n c"],
    k: Float[Array, "b m c"],
    v: Float[Array, "b m c"],
    heads: int,
    kernel: Literal["xla", "cudnn"] = "xla",
) -> Float[Array, "b n c"]:
    """softmax(q k^T / sqrt(d)) v per head. kernel: on GPUs; cudnn takes bfloat16 only."""
    b, n, c = q.shape
    branches: dict[str, Any] = {
        "cpu": _attend_in_turn,
        "default": functools.partial(jax.nn.dot_product_attention, implementation="xla"),
    }
    if kernel == "cudnn" and jax.default_backend() == "gpu":  # elsewhere it cannot be traced
        fused = functools.partial(jax.nn.dot_product_attention, implementation="cudnn")
        branches["cuda"] = fused
    split = (x.reshape(b, -1, heads, c // heads) for x in (q, k, v))
    return jax.lax.platform_dependent(*split, **branches).reshape(b, n, c)


def _attend_in_turn(
    q: Float[Array, "b n h d"], k: Float[Array, "b m h d"], v: Float[Array, "b m h d"]
) -> Float[Array, "b n h d"]:
    """One head after the other, which keeps its scores in a CPU's cache: up to twice as fast."""
    b, n, heads, d = q.shape

    def attend_one(qkv: tuple[Array, Array, Array]) -> Array:
        q, k, v = qkv
        scores = q @ k.T / math.sqrt(d)
        return nn.softmax(wide(scores)).astype(v.dtype) @ v

    folded = tuple(x.swapaxes(1, 2).reshape(b * heads, -1, d) for x in (q, k, v))
    return jax.lax.map(attend_one, folded).reshape(b, heads, n, d).swapaxes(1, 2)
