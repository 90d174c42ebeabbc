"""MFP (Lee et al., CVPR 2024): SimpleClick's network, which also sees the modulated mask."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.models.fpn import Levels
from rsisrefiner_jax.models.layers import conv_relu
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.plain_vit import PlainViTModel
from rsisrefiner_jax.models.refiner.decoder import MultiScaleFusion
from rsisrefiner_jax.models.refiner.prev_mask import XceptionConv
from rsisrefiner_jax.models.remat import recomputed
from rsisrefiner_jax.models.simpleclick import HEAD_WIDTH, classify


class PictureTokens(NamedTuple):
    """What depends on the picture alone."""

    image: Float[Array, "b s s 3"]  # normalised
    tokens: Float[Array, "b n e"]  # embedded patches


class Mfp(PlainViTModel):
    """The modulated mask enters the ViT and, beside the picture, the head."""

    def setup(self) -> None:
        super().setup()
        head = recomputed(ModulatedHead, self.config.remat, 3)
        self.head = head(self.axis_name, self.dtype)

    def encode_image(self, image: Float[Array, "b s s 3"], *, train: bool = False) -> PictureTokens:
        image = normalise(image, self.config.channel_order)
        return PictureTokens(image, self.backbone.embed(image))

    def decode(
        self, features: PictureTokens, aux: Float[Array, "b s s 4"], *, group: int, train: bool
    ) -> Float[Array, "b s/4 s/4"]:
        levels = self.neck(self.vit(features.tokens, aux)[2])
        masks = aux[..., :2]  # previous and modulated
        train = train and "head" not in self.config.frozen  # else its BatchNorms would move
        return self.head(levels, jnp.concatenate([features.image, masks], -1), train)


class ModulatedHead(nn.Module):
    """The levels of SimpleFPN, refined by the picture with both masks -> logits."""

    axis_name: str | None = None
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, levels: Levels, picture: Float[Array, "b s s 5"], train: bool
    ) -> Float[Array, "b s/4 s/4"]:
        d, width = self.dtype, HEAD_WIDTH

        def xception(x: Array, name: str) -> Array:
            return XceptionConv(width, self.axis_name, d, name=name)(x, train)

        fused = MultiScaleFusion(width, d, name="fusion")(levels)
        self.sow("intermediates", "F_multiscale", fused)
        x = conv_relu(picture, width // 4, 3, stride=2, name="picture_0", dtype=d)
        x = conv_relu(x, width, 3, stride=2, name="picture_1", dtype=d)
        x = xception(x, "picture_2")
        self.sow("intermediates", "prevMod_feature", x)
        x = jnp.concatenate([fused, x], -1)
        for i in range(2):
            x = xception(x, f"refine_{i}")
            self.sow("intermediates", f"refine{i}", x)
        return classify(x, train, d)
