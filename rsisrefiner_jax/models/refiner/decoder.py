"""Transformer decoder with dynamic convolution (paper section III-D, equations 4 to 7)."""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from rsisrefiner_jax.models.fpn import Levels
from rsisrefiner_jax.models.layers import (
    Attention,
    Up2,
    conv,
    conv_relu,
    gelu,
    layer_norm,
    linear,
)
from rsisrefiner_jax.ops.resize import resize_half_pixel


class Decoder(nn.Module):
    """F_mask, F_ViT and `detail` = F_HQ + F_multiscale -> logits.

    With kind "released" the decoder reads F_mask alone and views
    the token-major buffer as channel-major without transposing it, as the authors' code does;
    `group` consecutive samples share that buffer.
    """

    heads: int
    kind: Literal["paper", "released"] = "paper"
    f_vit: bool = True
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self,
        f_mask: Float[Array, "b s s e"],
        f_vit: Float[Array, "b s s e"],
        detail: Float[Array, "b 4*s 4*s e/4"],
        group: int = 1,
    ) -> Float[Array, "b 4*s 4*s"]:
        d = self.dtype
        b, side, _, width = f_mask.shape
        if not self.f_vit:
            f_vit = jnp.zeros_like(f_vit)
        fused = conv(jnp.concatenate([f_mask, f_vit], -1), width, 1, name="dense_fusion", dtype=d)
        self.sow("intermediates", "dense_fusion_out", fused)
        feature = (fused if self.kind == "paper" else f_mask).reshape(b, -1, width)

        token = self.param("mask_token", normal(0.02), (1, width)).astype(feature.dtype)
        token = jnp.broadcast_to(token, (b, 1, width))
        for i in range(2):
            token, feature = DecoderLayer(self.heads, d, name=f"layer_{i}")(token, feature)
            self.sow("intermediates", f"dec{i}_feature", feature)
            self.sow("intermediates", f"dec{i}_token", token)
        token = FinalToken(self.heads, d, name="final_token")(token, feature)
        self.sow("intermediates", "Q_final", token)

        if self.kind == "paper":
            x = feature.reshape(b, side, side, width)
        else:
            x = scramble(feature, side, group)
        self.sow("intermediates", "mask_feature_2d", x)
        x = Up2(width // 2, d, name="up_1")(x)
        x = Up2(width // 4, d, name="up_2")(x)
        self.sow("intermediates", "transposed_mask_feature", x)
        x = x + detail  # F_final, equation 5
        self.sow("intermediates", "final_feature", x)

        channels = x.shape[-1]  # equation 7
        weights = linear(token, channels, name="kernel_mlp_in", dtype=d)
        weights = linear(nn.relu(weights), 9 * channels + 1, name="kernel_mlp_out", dtype=d)
        return dynamic_conv(x, weights)


class DecoderLayer(nn.Module):
    """Token and feature attend to each other; cross-attention comes first.

    Q' = LN(Q + CA(Q, F)) (equation 4), self-attention, MLP, then F' = LN(F + CA(F, Q')).
    """

    heads: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, token: Float[Array, "b 1 e"], feature: Float[Array, "b n e"]
    ) -> tuple[Float[Array, "b 1 e"], Float[Array, "b n e"]]:
        d, width = self.dtype, token.shape[-1]
        y = Attention(width, self.heads, d, name="token_attends")(token, feature, feature)
        token = layer_norm(token + y, name="norm_1", dtype=d)
        y = Attention(width, self.heads, d, name="token_self")(token, token, token)
        token = layer_norm(token + y, name="norm_2", dtype=d)
        y = gelu(linear(token, 4 * width, name="mlp_in", dtype=d))
        y = linear(y, width, name="mlp_out", dtype=d)
        token = layer_norm(token + y, name="norm_3", dtype=d)
        y = Attention(width, self.heads, d, name="feature_attends")(feature, token, token)
        return token, layer_norm(feature + y, name="norm_4", dtype=d)


class FinalToken(nn.Module):
    """Q_final = MLP(LN(Q' + CA(Q', F'))) (equation 6)."""

    heads: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, token: Float[Array, "b 1 e"], feature: Float[Array, "b n e"]
    ) -> Float[Array, "b e/4"]:
        d, width = self.dtype, token.shape[-1]
        y = Attention(width, self.heads, d, name="token_attends")(token, feature, feature)
        x = layer_norm(token + y, name="norm", dtype=d)[:, 0]
        x = gelu(linear(x, width // 2, name="mlp_in", dtype=d))
        return linear(x, width // 4, name="mlp_out", dtype=d)


class MultiScaleFusion(nn.Module):
    """The four FPN levels -> F_multiscale, at the side of the largest."""

    width: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, levels: Levels) -> Float[Array, "b h w {self.width}"]:
        side = levels[0].shape[1]
        maps = [
            resize_half_pixel(
                conv_relu(x, self.width, 1, name=f"conv_{i}", dtype=self.dtype), (side, side)
            )
            for i, x in enumerate(levels)
        ]
        return conv_relu(jnp.concatenate(maps, -1), self.width, 1, name="fuse", dtype=self.dtype)


def dynamic_conv(
    x: Float[Array, "b h w c"], weights: Float[Array, "b 9*c+1"]
) -> Float[Array, "b h w"]:
    """M_seg = w * F_final + b with each sample's own 3x3 kernel (equation 7).

    weights: the kernel as [c, 3, 3], then the bias.
    """
    b, h, w, c = x.shape
    kernel = weights[:, :-1].reshape(b, c, 9)
    # One product per tap at every pixel, then nine shifted sums: far less memory than patches.
    taps = jnp.einsum("bhwc,bck->bhwk", x, kernel)
    taps = jnp.pad(taps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = sum(taps[:, i : i + h, j : j + w, 3 * i + j] for i in range(3) for j in range(3))
    return total + weights[:, -1, None, None]


def scramble(
    feature: Float[Array, "b {side**2} c"], side: int, group: int
) -> Float[Array, "b {side} {side} c"]:
    """Tokens as a map, in the order in which `.view(B, C, h, w)` of an [N, B, C] buffer has them.

    Each run of `group` samples is one buffer.
    """
    b, n, c = feature.shape
    buffer = feature.reshape(b // group, group, n, c).swapaxes(1, 2)
    return buffer.reshape(b, c, side, side).transpose(0, 2, 3, 1)
