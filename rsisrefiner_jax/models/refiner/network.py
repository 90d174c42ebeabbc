"""RS-ISRefiner assembled: picture, clicks and previous mask -> logits (paper figure 2)."""

from typing import Any, NamedTuple

from flax import linen as nn
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.models.layers import uniform
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.plain_vit import PlainViTModel
from rsisrefiner_jax.models.refiner.decoder import Decoder, MultiScaleFusion
from rsisrefiner_jax.models.refiner.extractor import ImageFeatureExtractor
from rsisrefiner_jax.models.refiner.fusion import (
    ImageFeatureFusion,
    ImageProjections,
    early_fusion,
)
from rsisrefiner_jax.models.refiner.prev_mask import PrevMaskEncoder
from rsisrefiner_jax.models.remat import recomputed


class ImageFeatures(NamedTuple):
    """What depends on the picture alone, computed once for all clicks on it.

    Early fusion lets clicks into the tokens before the first block, so that nothing behind the
    ViT belongs here.
    """

    tokens: Float[Array, "b n width"]  # embedded patches
    projections: ImageProjections


class Refiner(PlainViTModel):
    """The network."""

    def setup(self) -> None:
        super().setup()
        config, d = self.config, self.dtype
        settings: dict[str, Any] = {"axis_name": self.axis_name, "dtype": d}
        width = config.width
        init = uniform(2 * width)
        self.gate = nn.Dense(width, kernel_init=init, bias_init=init, dtype=d)
        again = config.remat
        self.extractor = ImageFeatureExtractor(
            config.extractor_channels, width, remat=again, **settings
        )
        self.fusion = recomputed(ImageFeatureFusion, again, 3)(
            width, config.adapter_heads, config.theta, **settings
        )
        self.prev_mask = recomputed(PrevMaskEncoder, again, 2)(
            config.mask_channels, width, **settings
        )
        self.multi_scale = recomputed(MultiScaleFusion, again)(width // 4, d)
        self.decoder = recomputed(Decoder, again, 4)(
            config.adapter_heads, config.decoder, config.f_vit, d
        )

    def encode_image(self, image: Float[Array, "b s s 3"], *, train: bool = False) -> ImageFeatures:
        image = normalise(image, self.config.channel_order)
        extracted = self.extractor(image, train)
        return ImageFeatures(self.backbone.embed(image), self.fusion.project(extracted))

    def training_group(self, batch: int) -> int:
        # The authors' code scrambles axes across the whole batch.
        return batch if self.config.decoder == "released" else 1

    def decode(
        self, features: ImageFeatures, aux: Float[Array, "b s s 4"], *, group: int, train: bool
    ) -> Float[Array, "b s/4 s/4"]:
        config = self.config
        first, second, f_vit = self.vit(features.tokens, aux)
        early = early_fusion(first, second, config.early_fusion, self.gate)
        self.sow("intermediates", "F_early", early)
        f_hq = self.fusion(early, features.projections, train)
        self.sow("intermediates", "F_HQ", f_hq)
        f_mask = self.prev_mask(aux, train)
        self.sow("intermediates", "F_mask", f_mask)
        f_multiscale = self.multi_scale(self.neck(f_vit))
        self.sow("intermediates", "F_multiscale", f_multiscale)

        detail = f_hq + f_multiscale if config.f_hq else f_multiscale
        self.sow("intermediates", "F_HQ_plus_F_multiscale", detail)
        return self.decoder(f_mask, f_vit, detail, group)
