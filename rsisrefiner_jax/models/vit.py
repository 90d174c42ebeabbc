"""The plain Vision Transformer: the frozen backbone of paper section III-B."""

from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import Initializer, normal, xavier_uniform, zeros
from jaxtyping import Float

from rsisrefiner_jax.models.layers import attend, gelu, layer_norm


class PatchEmbed(nn.Module):
    """Patches of size x size pixels to tokens, row by row.

    The convolution whose kernel [size, size, c, width] and stride agree, as one matrix product.
    """

    width: int
    size: int
    kernel_init: Initializer = xavier_uniform()  # of the kernel as a matrix
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b n {self.width}"]:
        b, h, w, c = x.shape
        s = self.size

        def init(key: Array, shape: tuple[int, ...]) -> Array:
            return self.kernel_init(key, (s * s * c, self.width)).reshape(shape)

        kernel = self.param("kernel", init, (s, s, c, self.width))
        bias = self.param("bias", zeros, (self.width,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = x.reshape(b, h // s, s, w // s, s, c).swapaxes(2, 3).reshape(b, -1, s * s * c)
        return x @ kernel.reshape(s * s * c, self.width) + bias


class Block(nn.Module):
    """Pre-norm transformer block; attends globally or inside 2x2 windows of the token grid."""

    heads: int
    windows: int  # per side; 1 = global
    kernel: Literal["xla", "cudnn"] = "xla"  # of the attention
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        y = layer_norm(x, name="norm1", epsilon=1e-6, dtype=self.dtype)
        x = x + SelfAttention(self.heads, self.windows, self.kernel, self.dtype, name="attn")(y)
        y = layer_norm(x, name="norm2", epsilon=1e-6, dtype=self.dtype)
        return x + Mlp(self.dtype, name="mlp")(y)


class SelfAttention(nn.Module):
    """Attention of the tokens to each other, globally or inside windows of their grid."""

    heads: int
    windows: int
    kernel: Literal["xla", "cudnn"] = "xla"
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        dense: Any = {"kernel_init": xavier_uniform(), "dtype": self.dtype}
        width = x.shape[-1]
        qkv = nn.Dense(3 * width, name="qkv", **dense)(x)
        side = round(x.shape[1] ** 0.5)
        if self.windows > 1:
            qkv = partition(qkv, side, self.windows)
        q, k, v = jnp.split(qkv, 3, axis=-1)
        out = attend(q, k, v, self.heads, self.kernel)
        if self.windows > 1:
            out = unpartition(out, side, self.windows)
        return nn.Dense(width, name="proj", **dense)(out)


def pack_qkv(parts: Float[Array, "3 c d"]) -> Float[Array, "c 3*d"]:
    """Kernels of the query, key and value projections as the columns of `qkv` have them."""
    return jnp.concatenate(list(parts), -1)


class Mlp(nn.Module):
    """c -> 4c -> GELU -> c."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        dense: Any = {"kernel_init": xavier_uniform(), "dtype": self.dtype}
        y = gelu(nn.Dense(4 * x.shape[-1], name="fc1", **dense)(x))
        return nn.Dense(x.shape[-1], name="fc2", **dense)(y)


class ViT(nn.Module):
    """Image and auxiliary tokens through the blocks. No final norm."""

    width: int
    depth: int
    heads: int
    patch_size: int
    grid: int  # tokens per side, n = grid^2
    attention: str
    early_blocks: tuple[int, int]
    dtype: Dtype | None = None
    kernel: Literal["xla", "cudnn"] = "xla"

    def setup(self) -> None:
        self.patch_embed = PatchEmbed(self.width, self.patch_size, dtype=self.dtype)
        # Entry 0 belongs to the class token of the pretrained weights and is not used.
        self.pos_embed = self.param("pos_embed", normal(0.02), (1, 1 + self.grid**2, self.width))
        # A group of blocks in windows ends with a global one, as in SimpleClick.
        group = max(6 if self.depth == 12 else self.depth // 4, 1)
        windowed = [
            self.attention == "windowed" and (i + 1) % group != 0 for i in range(self.depth)
        ]
        self.block = [
            Block(self.heads, 2 if narrow else 1, self.kernel, self.dtype) for narrow in windowed
        ]

    def embed(self, image: Float[Array, "b s s 3"]) -> Float[Array, "b n {self.width}"]:
        """The tokens of a normalised image."""
        tokens = self.patch_embed(image)
        self.sow("intermediates", "patch_embed_image", tokens)
        return tokens

    def __call__(
        self, tokens: Float[Array, "b n c"], coords: Float[Array, "b n c"]
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b n c"], Float[Array, "b n c"]]:
        """Early features of two blocks, and F_ViT.

        Args:
            tokens: what `embed` made.
            coords: the embedded auxiliary tensor.
        """
        x = tokens + coords + self.pos_embed[:, 1:].astype(tokens.dtype)
        self.sow("intermediates", "block0_input", x)
        outputs = []
        for i, block in enumerate(self.block, start=1):
            x = block(x)
            self.sow("intermediates", f"block{i}", x)
            outputs.append(x)
        first, second = self.early_blocks
        return outputs[first - 1], outputs[second - 1], x


def partition(
    x: Float[Array, "b {side**2} c"], side: int, windows: int
) -> Float[Array, "b*{windows**2} {side**2//windows**2} c"]:
    """The windows of a square grid of tokens as samples, `windows` a side."""
    b, _, c = x.shape
    s = side // windows
    x = x.reshape(b, windows, s, windows, s, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b * windows**2, s * s, c)


def unpartition(
    x: Float[Array, "k {side**2//windows**2} c"], side: int, windows: int
) -> Float[Array, "k/{windows**2} {side**2} c"]:
    """The inverse of `partition`."""
    s, c = side // windows, x.shape[-1]
    x = x.reshape(-1, windows, windows, s, s, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, side * side, c)
