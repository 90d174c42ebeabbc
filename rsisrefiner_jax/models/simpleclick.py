"""SimpleClick (Liu et al., ICCV 2023): the ViT, SimpleFPN and a light head, all of them trained."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.fpn import Levels
from rsisrefiner_jax.models.layers import conv
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.plain_vit import PlainViTModel
from rsisrefiner_jax.models.refiner.decoder import MultiScaleFusion
from rsisrefiner_jax.models.remat import recomputed

HEAD_WIDTH = 256  # channels of the head, whatever the size of the ViT
DROPOUT = 0.1  # share of the head's channels that a training pass goes without


class SimpleClick(PlainViTModel):
    """One pass for every click; clicks and the previous mask, not modulated, enter the ViT."""

    def setup(self) -> None:
        super().setup()
        self.head = recomputed(LevelsHead, self.config.remat, 2)(self.dtype)

    @property
    def first_passes(self) -> int:
        return 1

    def encode_image(
        self, image: Float[Array, "b s s 3"], *, train: bool = False
    ) -> Float[Array, "b n e"]:
        """The embedded patches."""
        return self.backbone.embed(normalise(image, self.config.channel_order))

    def auxiliary(
        self, prev_mask: Float[Array, "b s s"], clicks: Clicks, plain: Any, group: int
    ) -> Float[Array, "b s s 3"]:
        """The second input: previous mask, positive and negative disks."""
        return jnp.concatenate([prev_mask[..., None], self.disks(clicks)], -1)

    def decode(
        self,
        features: Float[Array, "b n e"],
        aux: Float[Array, "b s s 3"],
        *,
        group: int,
        train: bool,
    ) -> Float[Array, "b s/4 s/4"]:
        train = train and "head" not in self.config.frozen
        return self.head(self.neck(self.vit(features, aux)[2]), train)


class LevelsHead(nn.Module):
    """The four levels of SimpleFPN, each projected, at the size of the largest -> logits."""

    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, levels: Levels, train: bool) -> Float[Array, "b h w"]:
        x = MultiScaleFusion(HEAD_WIDTH, self.dtype, name="fusion")(levels)
        return classify(x, train, self.dtype)


def classify(x: Float[Array, "b h w c"], train: bool, dtype: Dtype | None) -> Float[Array, "b h w"]:
    """One logit a pixel; called inline. In training whole channels are dropped first."""
    x = nn.Dropout(DROPOUT, broadcast_dims=(1, 2))(x, deterministic=not train)
    return conv(x, 1, 1, name="classify", dtype=dtype)[..., 0]
