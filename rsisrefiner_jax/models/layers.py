"""Layers with PyTorch's arithmetic and initialisation, called inline: `conv(x, 64, 3, name="c")`.

All arrays are NHWC (or [batch, tokens, channels]); `dtype` is that of the computation, parameters
are float32. Each function makes a submodule of the Linen module that is running.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, normal, zeros

from rsisrefiner_jax.ops.deform_conv import deform_conv


def uniform(fan_in: int) -> Initializer:
    """U(+-1/sqrt(fan_in)): PyTorch's default for weight and bias of linear and convolution."""
    bound = 1 / math.sqrt(fan_in)

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def linear(x, features: int, *, name: str, bias: bool = True, dtype=None):
    """y = x W + b over the last axis."""
    init = uniform(x.shape[-1])
    return nn.Dense(
        features, use_bias=bias, kernel_init=init, bias_init=init, dtype=dtype, name=name
    )(x)


def conv(x, features: int, size: int, *, name: str, stride: int = 1, depthwise=False, dtype=None):
    """size x size convolution with zero padding (size - 1) // 2."""
    groups = x.shape[-1] if depthwise else 1
    init = uniform(size * size * x.shape[-1] // groups)
    pad = (size - 1) // 2
    return nn.Conv(
        features,
        (size, size),
        stride,
        ((pad, pad), (pad, pad)),
        feature_group_count=groups,
        kernel_init=init,
        bias_init=init,
        dtype=dtype,
        name=name,
    )(x)


def conv_relu(x, features: int, size: int, *, name: str, stride: int = 1, dtype=None):
    """Convolution then ReLU, initialised by Kaiming's normal rule (fan out), bias 0."""
    pad = (size - 1) // 2
    y = nn.Conv(
        features,
        (size, size),
        stride,
        ((pad, pad), (pad, pad)),
        kernel_init=normal(math.sqrt(2 / (features * size * size))),
        dtype=dtype,
        name=name,
    )(x)
    return nn.relu(y)


def layer_norm(x, *, name: str, epsilon: float = 1e-5, dtype=None):
    """Normalises the last axis."""
    return nn.LayerNorm(epsilon, use_fast_variance=False, dtype=dtype, name=name)(x)


def group_norm(x, *, name: str, dtype=None):
    """GroupNorm with one group: normalises all positions and channels of a sample."""
    return nn.GroupNorm(1, epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)(x)


def gelu(x):
    """The exact (erf) GELU."""
    return nn.gelu(x, approximate=False)


def max_pool(x):
    """2x2 maximum, stride 2."""
    return nn.max_pool(x, (2, 2), (2, 2))


class Up2(nn.Module):
    """Transposed convolution, kernel 2, stride 2: every pixel becomes a 2x2 cell.

    kernel [2, 2, in, out]: y[2i+a, 2j+b] = x[i, j] @ kernel[a, b] + bias.
    """

    features: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x):
        init = uniform(4 * self.features)
        kernel = self.param("kernel", init, (2, 2, x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        b, h, w, _ = x.shape
        y = jnp.einsum("bhwi,acio->bhawco", x, kernel) + bias[None, None, None, None, None]
        return y.reshape(b, 2 * h, 2 * w, self.features)


class DeformConv(nn.Module):
    """3x3 deformable convolution (DCNv1) with given offsets [b, h, w, 18]."""

    features: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x, offset):
        init = uniform(9 * x.shape[-1])
        kernel = self.param("kernel", init, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return deform_conv(x, offset.astype(jnp.float32), kernel, bias)


class BatchNorm(nn.Module):
    """PyTorch's BatchNorm2d: momentum 0.1, epsilon 1e-5, unbiased running variance.

    With `axis_name` the batch statistics are those over all devices of that axis.
    """

    axis_name: str | None = None
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x, train: bool):
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", zeros, (channels,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        wide = x.astype(jnp.float32)
        if train and not self.is_initializing():
            count = wide.size // channels * self._devices()
            batch_mean = self._average(wide.mean((0, 1, 2)))
            batch_var = self._average(jnp.square(wide - _row(batch_mean)).mean((0, 1, 2)))
            if self.is_mutable_collection("batch_stats"):
                mean.value = 0.9 * mean.value + 0.1 * batch_mean
                var.value = 0.9 * var.value + 0.1 * batch_var * (count / (count - 1))
        else:
            batch_mean, batch_var = mean.value, var.value
        y = (wide - _row(batch_mean)) * _row(scale * jax.lax.rsqrt(batch_var + 1e-5)) + _row(bias)
        return y.astype(self.dtype or x.dtype)

    def _average(self, x):
        return jax.lax.pmean(x, self.axis_name) if self.axis_name else x

    def _devices(self):
        return jax.lax.axis_size(self.axis_name) if self.axis_name else 1


class Attention(nn.Module):
    """Multi-head attention with one packed projection, as PyTorch's MultiheadAttention.

    query [b, n, c], key and value [b, m, c] -> [b, n, c] (n = 1 where m = 1, see below).
    """

    heads: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, query, key, value):
        width = query.shape[-1]
        kernel, bias = PackedProjection(name="in_proj")(width)
        query, key, value, kernel, bias = nn.dtypes.promote_dtype(
            query, key, value, kernel, bias, dtype=self.dtype
        )
        wq, wk, wv = jnp.split(kernel, 3, axis=1)
        bq, bk, bv = jnp.split(bias[None, None], 3, axis=2)
        v = value @ wv + bv
        attended = v
        if key.shape[1] > 1:  # the softmax over a single key is 1, whatever the query
            attended = attend(query @ wq + bq, key @ wk + bk, v, self.heads)
        init = uniform(width)
        return nn.Dense(width, kernel_init=init, dtype=self.dtype, name="out_proj")(attended)


class PackedProjection(nn.Module):
    """The weights of the query, key and value projections, side by side."""

    @nn.compact
    def __call__(self, width: int):
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), (width, 3 * width))
        return kernel, self.param("bias", zeros, (3 * width,))


def attend(q, k, v, heads: int):
    """softmax(q k^T / sqrt(d)) v per head: [b, n, c], [b, m, c], [b, m, c] -> [b, n, c]."""
    split = lambda x: x.reshape(*x.shape[:2], heads, -1)  # noqa: E731
    q, k, v = split(q), split(k), split(v)
    scores = jnp.einsum("bnhd,bmhd->bhnm", q, k) / math.sqrt(q.shape[-1])
    weights = nn.softmax(scores.astype(jnp.float32)).astype(v.dtype)
    out = jnp.einsum("bhnm,bmhd->bnhd", weights, v)
    return out.reshape(*out.shape[:2], -1)


def _row(x):
    return x[None, None, None]
