"""TinyViT: MobileSAM's image encoder, a small frozen backbone that sees the picture alone.

Wu et al., TinyViT (ECCV 2022); Zhang et al., MobileSAM (arXiv 2306.14289). BatchNorms are folded
into the convolutions before them, as in the published weights for inference, so that nothing here
changes between training and use. The side of the picture is free: attention works in windows.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from rsisrefiner_jax.models.layers import conv, gelu, layer_norm, linear
from rsisrefiner_jax.ops.precision import wide

CHANNELS = (64, 128, 160, 320)  # of the four stages
DEPTHS = (2, 2, 6, 2)  # blocks of a stage
HEADS = (0, 4, 5, 10)
HEAD = 32  # channels of one
WINDOWS = (0, 7, 14, 7)  # side of an attention window, in tokens
STRIDES = (2, 2, 1)  # of the merging after the first three stages
EMBEDDING = 256  # channels of the neck's output


class Stages(NamedTuple):
    """What the stages make of a picture, and the neck of the last one."""

    stage_0: Float[Array, "b s/4 s/4 64"]
    stage_1: Float[Array, "b s/8 s/8 128"]
    stage_2: Float[Array, "b s/16 s/16 160"]
    stage_3: Float[Array, "b s/16 s/16 320"]
    embedding: Float[Array, "b s/16 s/16 256"]  # SAM's image embedding


class TinyViT(nn.Module):
    """TinyViT-5M as MobileSAM has it, with SAM's neck."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, image: Float[Array, "b s s 3"]) -> Stages:
        """image: normalised; its side is a multiple of 16."""
        d = self.dtype
        x = gelu(conv(image, CHANNELS[0] // 2, 3, stride=2, name="patch_embed_0", dtype=d))
        x = conv(x, CHANNELS[0], 3, stride=2, name="patch_embed_1", dtype=d)
        outputs = []
        for i in range(4):
            for j in range(DEPTHS[i]):
                name = f"stage_{i}_block_{j}"
                if i == 0:
                    x = MbConv(d, name=name)(x)
                else:
                    x = WindowBlock(HEADS[i], WINDOWS[i], d, name=name)(x)
            outputs.append(x)
            if i < 3:
                x = Merge(CHANNELS[i + 1], STRIDES[i], d, name=f"merge_{i}")(x)
        x = nn.Conv(EMBEDDING, (1, 1), use_bias=False, dtype=d, name="neck_0")(x)
        x = layer_norm(x, name="neck_norm_0", epsilon=1e-6, dtype=d)
        x = nn.Conv(EMBEDDING, (3, 3), use_bias=False, dtype=d, name="neck_1")(x)
        x = layer_norm(x, name="neck_norm_1", epsilon=1e-6, dtype=d)
        stage_0, stage_1, stage_2, stage_3 = outputs
        return Stages(stage_0, stage_1, stage_2, stage_3, embedding=x)


class MbConv(nn.Module):
    """Inverted bottleneck of four times the width."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        d, width = self.dtype, x.shape[-1]
        y = gelu(conv(x, 4 * width, 1, name="expand", dtype=d))
        y = gelu(conv(y, 4 * width, 3, depthwise=True, name="depthwise", dtype=d))
        return gelu(x + conv(y, width, 1, name="project", dtype=d))


class Merge(nn.Module):
    """The way to the next stage: other channels, and the side divided by `stride`."""

    features: int
    stride: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"]
    ) -> Float[Array, "b h/{self.stride} w/{self.stride} {self.features}"]:
        d = self.dtype
        x = gelu(conv(x, self.features, 1, name="expand", dtype=d))
        x = conv(x, self.features, 3, stride=self.stride, depthwise=True, name="depthwise", dtype=d)
        return conv(gelu(x), self.features, 1, name="project", dtype=d)


class WindowBlock(nn.Module):
    """Attention in windows, a depthwise convolution across their borders, an MLP."""

    heads: int
    window: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        d, width = self.dtype, x.shape[-1]
        x = x + WindowAttention(self.heads, self.window, d, name="attn")(x)
        x = conv(x, width, 3, depthwise=True, name="local", dtype=d)
        y = layer_norm(x, name="norm", dtype=d)
        y = gelu(linear(y, 4 * width, name="fc1", dtype=d))
        return x + linear(y, width, name="fc2", dtype=d)


class WindowAttention(nn.Module):
    """Attention inside windows, with a learned bias for every pair of places in one.

    A map that is no multiple of the window is filled up with zeros below and to the right, which
    take part as the original's do.
    """

    heads: int
    window: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        b, h, w, width = x.shape
        n = self.window
        below, right = -h % n, -w % n
        x = jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
        rows, columns = (h + below) // n, (w + right) // n
        x = x.reshape(b, rows, n, columns, n, width).swapaxes(2, 3).reshape(-1, n * n, width)
        x = layer_norm(x, name="norm", dtype=self.dtype)
        qkv = linear(x, 3 * width, name="qkv", dtype=self.dtype)
        bias = self.param("bias", normal(0.02), (self.heads, n * n, n * n))
        q, k, v = qkv.reshape(-1, n * n, self.heads, 3, width // self.heads).transpose(
            3, 0, 2, 1, 4
        )
        scores = q @ k.swapaxes(-1, -2) * (width // self.heads) ** -0.5 + bias
        y = nn.softmax(wide(scores)).astype(v.dtype) @ v
        y = y.swapaxes(1, 2).reshape(-1, n * n, width)
        y = linear(y, width, name="proj", dtype=self.dtype)
        y = y.reshape(b, rows, columns, n, n, width).swapaxes(2, 3)
        return y.reshape(b, rows * n, columns * n, width)[:, :h, :w]


def pack_qkv(parts: Float[Array, "3 c d"]) -> Float[Array, "c 3*d"]:
    """Kernels of the query, key and value projections as the columns of `qkv` have them.

    Those of a head lie together.
    """
    _, width, columns = parts.shape
    heads = columns // HEAD
    return parts.reshape(3, width, heads, HEAD).transpose(1, 2, 0, 3).reshape(width, -1)
