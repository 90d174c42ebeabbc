"""SAM's mask decoder: a two-way transformer and a small network for every mask."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float

from rsisrefiner_jax.models.layers import Up2, gelu, layer_norm, linear
from rsisrefiner_jax.ops.precision import wide

MASKS = 4  # the first is meant for many clicks, the others are readings of a single one
HEADS = 8
HIDDEN = 2048


class Answer(NamedTuple):
    """What the decoder says of an object."""

    masks: Float[Array, "b 4*s 4*s 4"]  # logits
    iou: Float[Array, "b 4"]  # how good it thinks each of them is
    features: Float[Array, "b 4*s 4*s e/8"]  # the map that masks are read from


class MaskDecoder(nn.Module):
    """Image embedding and prompts -> masks."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self,
        embedding: Float[Array, "b s s e"],
        positions: Float[Array, "1 s s e"],
        clicks: tuple[Float[Array, "b k e"], Bool[Array, "b k"]],
        mask: Float[Array, "b s s e"] | Float[Array, "b 1 1 e"],
    ) -> Answer:
        """clicks: tokens, and which of them are to be heeded."""
        b, side, _, width = embedding.shape
        d = self.dtype
        own = self.param("tokens", normal(0.02), (1 + MASKS, width))
        tokens = jnp.concatenate([jnp.broadcast_to(own, (b, *own.shape)), clicks[0]], 1)
        heeded = jnp.pad(clicks[1], ((0, 0), (len(own), 0)), constant_values=True)
        image = (embedding + mask).reshape(b, side * side, width)
        where = positions.reshape(1, side * side, width)
        tokens, image = TwoWay(d, name="transformer")(tokens, heeded, image, where)

        x = Up2(width // 4, d, name="up_1")(image.reshape(b, side, side, width))
        x = gelu(layer_norm(x, name="up_norm", epsilon=1e-6, dtype=d))
        x = gelu(Up2(width // 8, d, name="up_2")(x))
        kernels = [mlp(tokens[:, 1 + i], width, width // 8, f"mask_{i}", d) for i in range(MASKS)]
        masks = wide(jnp.einsum("bhwc,bmc->bhwm", x, jnp.stack(kernels, 1)))
        iou = wide(mlp(tokens[:, 0], width, MASKS, "iou", d))
        return Answer(masks, iou, x)


class TwoWay(nn.Module):
    """Tokens and image attend to each other, twice; then the tokens once more."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self,
        prompts: Float[Array, "b k e"],
        heeded: Bool[Array, "b k"],
        image: Float[Array, "b n e"],
        where: Float[Array, "1 n e"],
    ) -> tuple[Float[Array, "b k e"], Float[Array, "b n e"]]:
        d, width = self.dtype, image.shape[-1]
        tokens = prompts
        for i in range(2):
            at = tokens if i == 0 else tokens + prompts
            y = DotAttention(width, d, name=f"layer_{i}_self")(at, at, tokens, heeded)
            tokens = layer_norm(y if i == 0 else tokens + y, name=f"layer_{i}_norm_1", dtype=d)
            attention = DotAttention(width // 2, d, name=f"layer_{i}_token_attends")
            y = attention(tokens + prompts, image + where, image)
            tokens = layer_norm(tokens + y, name=f"layer_{i}_norm_2", dtype=d)
            y = nn.relu(linear(tokens, HIDDEN, name=f"layer_{i}_mlp_in", dtype=d))
            y = linear(y, width, name=f"layer_{i}_mlp_out", dtype=d)
            tokens = layer_norm(tokens + y, name=f"layer_{i}_norm_3", dtype=d)
            attention = DotAttention(width // 2, d, name=f"layer_{i}_image_attends")
            y = attention(image + where, tokens + prompts, tokens, heeded)
            image = layer_norm(image + y, name=f"layer_{i}_norm_4", dtype=d)
        attention = DotAttention(width // 2, d, name="final_token_attends")
        y = attention(tokens + prompts, image + where, image)
        return layer_norm(tokens + y, name="final_norm", dtype=d), image


class DotAttention(nn.Module):
    """Multi-head attention whose projections have `inner` channels, and the input's at the end."""

    inner: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "b n e"],
        key: Float[Array, "b m e"],
        value: Float[Array, "b m e"],
        heeded: Bool[Array, "b m"] | None = None,
    ) -> Float[Array, "b n e"]:
        """heeded: the keys that count; None = all."""

        def heads(x: Array, name: str) -> Array:
            x = linear(x, self.inner, name=name, dtype=self.dtype)
            return x.reshape(*x.shape[:2], HEADS, -1).swapaxes(1, 2)

        q, k, v = heads(query, "query"), heads(key, "key"), heads(value, "value")
        scores = wide(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
        if heeded is not None:
            scores = jnp.where(heeded[:, None, None], scores, -jnp.inf)
        y = nn.softmax(scores).astype(v.dtype) @ v
        y = y.swapaxes(1, 2).reshape(*query.shape[:2], self.inner)
        return linear(y, query.shape[-1], name="out", dtype=self.dtype)


def mlp(
    x: Float[Array, "b e"], hidden: int, features: int, name: str, dtype: Dtype | None
) -> Float[Array, "b {features}"]:
    """Three linear layers."""
    x = nn.relu(linear(x, hidden, name=f"{name}_mlp_0", dtype=dtype))
    x = nn.relu(linear(x, hidden, name=f"{name}_mlp_1", dtype=dtype))
    return linear(x, features, name=f"{name}_mlp_2", dtype=dtype)
