"""RS-ISRefiner assembled: picture, clicks and previous mask -> logits (paper figure 2)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.click_model import ClickModel, is_empty
from rsisrefiner_jax.interaction.clicks import Clicks, disks
from rsisrefiner_jax.models.fpn import SimpleFPN
from rsisrefiner_jax.models.layers import uniform
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.refiner.decoder import Decoder, MultiScaleFusion
from rsisrefiner_jax.models.refiner.extractor import ImageFeatureExtractor
from rsisrefiner_jax.models.refiner.fusion import (
    ImageFeatureFusion,
    ImageProjections,
    early_fusion,
)
from rsisrefiner_jax.models.refiner.modulation import modulated_mask
from rsisrefiner_jax.models.refiner.prev_mask import PrevMaskEncoder
from rsisrefiner_jax.models.vit import PatchEmbed, ViT
from rsisrefiner_jax.ops.resize import resize_align_corners


class ImageFeatures(NamedTuple):
    """What depends on the picture alone, computed once for all clicks on it.

    Early fusion lets clicks into the tokens before the first block, so that nothing behind the
    ViT belongs here.
    """

    tokens: Float[Array, "b n width"]  # embedded patches
    projections: ImageProjections


class Refiner(ClickModel):
    """The network. axis_name: of the devices over which BatchNorm takes its statistics."""

    config: Model
    axis_name: str | None = None

    def setup(self) -> None:
        config = self.config
        d = jnp.bfloat16 if config.dtype == "bfloat16" else None
        settings: dict[str, Any] = {"axis_name": self.axis_name, "dtype": d}
        width = config.width

        # A network that starts from a plain ViT begins without a trace of clicks in its tokens.
        plain = "patch_embed_coords" not in config.frozen and "backbone" in config.frozen
        init = nn.initializers.zeros if plain else nn.initializers.xavier_uniform()
        self.patch_embed_coords = PatchEmbed(width, config.patch_size, init, d)
        self.backbone = ViT(
            width,
            config.depth,
            config.heads,
            config.patch_size,
            config.image_size // config.patch_size,
            config.attention,
            config.early_blocks,
            d,
        )
        init = uniform(2 * width)
        self.gate = nn.Dense(width, kernel_init=init, bias_init=init, dtype=d)
        self.extractor = ImageFeatureExtractor(config.extractor_channels, width, **settings)
        self.fusion = ImageFeatureFusion(width, config.adapter_heads, config.theta, **settings)
        self.prev_mask = PrevMaskEncoder(config.mask_channels, width, **settings)
        self.neck = SimpleFPN(config.fpn_channels, d)
        self.multi_scale = MultiScaleFusion(width // 4, d)
        self.decoder = Decoder(config.adapter_heads, config.decoder, config.f_vit, d)

    @property
    def image_size(self) -> int:
        return self.config.image_size

    @property
    def first_passes(self) -> int:
        return 2 if self.config.first_pass == "double" else 1

    def encode_image(self, image: Float[Array, "b s s 3"], *, train: bool = False) -> ImageFeatures:
        image = normalise(image, self.config.channel_order)
        extracted = self.extractor(image, train)
        return ImageFeatures(self.backbone.embed(image), self.fusion.project(extracted))

    def predict(
        self,
        features: ImageFeatures,
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        group: int = 1,
    ) -> Float[Array, "b s s"]:
        if self.first_passes == 1:
            return self.one_pass(features, prev_mask, clicks, draft=False, group=group)
        passes = 1 + is_empty(prev_mask).any()

        # A loop and not a condition, whose branches XLA runs on a single CPU core.
        def is_open(_: Any, carry: tuple[Array, Array, Array]) -> Any:
            return carry[0] < passes

        def one(model: Any, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            number, prev_mask, _ = carry
            draft = number < passes - 1
            logits = model.one_pass(features, prev_mask, clicks, draft=draft, group=group)
            return number + 1, model.drafted(prev_mask, logits), logits

        start = (jnp.int32(0), prev_mask, jnp.zeros_like(prev_mask))
        variables = ("params", "batch_stats")
        return nn.while_loop(is_open, one, self, start, broadcast_variables=variables)[2]

    def __call__(
        self,
        image: Float[Array, "b s s 3"],
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        first: bool,
        group: int = 1,
        train: bool = False,
    ) -> Float[Array, "b s s"]:
        features = self.encode_image(image, train=train)
        if first and self.first_passes == 2:
            logits = self.one_pass(
                features, prev_mask, clicks, draft=True, group=group, train=train
            )
            prev_mask = self.drafted(prev_mask, logits)
            if train:  # BatchNorm's running statistics count every pass
                features = self.encode_image(image, train=train)
        return self.one_pass(features, prev_mask, clicks, draft=False, group=group, train=train)

    def training_group(self, batch: int) -> int:
        # The authors' code scrambles axes across the whole batch.
        return batch if self.config.decoder == "released" else 1

    def drafted(
        self, prev_mask: Float[Array, "b s s"], logits: Float[Array, "b s s"]
    ) -> Float[Array, "b s s"]:
        """The previous mask of a second pass: where it was empty, the answer to the first.

        The reference's rule for a first click (`first_pass=double`); the paper has one pass.
        """
        answer = nn.sigmoid(logits)
        if not self.config.first_pass_gradient:
            answer = jax.lax.stop_gradient(answer)
        return jnp.where(is_empty(prev_mask)[:, None, None], answer, prev_mask)

    def one_pass(
        self,
        features: ImageFeatures,
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        draft: bool | Bool[Array, ""],
        group: int = 1,
        train: bool = False,
    ) -> Float[Array, "b s s"]:
        """One pass of the network. draft: its answer is only the previous mask of the next one."""
        plain = is_empty(prev_mask)[:, None, None] if self.first_passes == 1 else draft
        modulated = modulated_mask(prev_mask, clicks, self.config, plain, group)
        size = prev_mask.shape[1], prev_mask.shape[2]
        click_maps = disks(clicks, size, self.config.click_radius)
        # The network's second input: previous mask, modulated mask, positive and negative disks.
        aux = jnp.concatenate([prev_mask[..., None], modulated[..., None], click_maps], -1)
        logits = self.decode(features, aux, group=group, train=train)
        return resize_align_corners(logits[..., None], size)[..., 0]

    def decode(
        self, features: ImageFeatures, aux: Float[Array, "b s s 4"], *, group: int, train: bool
    ) -> Float[Array, "b s/4 s/4"]:
        """Features of the picture and the second input -> logits at a quarter of the size."""
        config = self.config
        self.sow("intermediates", "coord_features", aux)
        coords = self.patch_embed_coords(aux)
        self.sow("intermediates", "coord_tokens", coords)
        first, second, last = self.backbone(features.tokens, coords)
        if {"backbone", "patch_embed_coords"} <= set(config.frozen) and not config.lora_rank:
            first, second, last = jax.lax.stop_gradient((first, second, last))
        side = aux.shape[1] // config.patch_size
        f_vit = last.reshape(last.shape[0], side, side, config.width)

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
        logits = self.decoder(f_mask, f_vit, detail, group).astype(jnp.float32)
        self.sow("intermediates", "logits_112", logits)
        return logits
