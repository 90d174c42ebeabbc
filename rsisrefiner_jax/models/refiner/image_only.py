"""RS-ISRefiner on a backbone that sees the picture alone: MobileSAM's TinyViT.

F_ViT^1, F_ViT^2 and F_ViT^N are stages of the backbone. Clicks and previous mask come in behind it
(sections III-A and III-D), so that the picture is looked at once a crop. Of the paper's parts it
has the modulation, the two-way decoder and the dynamic convolution; the Image Feature Extractor and
the fusions of section III-C are not in it. SAM's own decoder may lie underneath: its masks are one
more input.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Float

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.click_model import ClickModel, is_empty
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.layers import conv, conv_he, linear, linear_zero
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.refiner.decoder import DecoderLayer, FinalToken, dynamic_conv
from rsisrefiner_jax.models.refiner.modulation import modulated_mask
from rsisrefiner_jax.models.refiner.pyramid import (
    Down,
    Join,
    ResidualBlock,
    click_maps,
)
from rsisrefiner_jax.models.remat import recomputed
from rsisrefiner_jax.models.sam.mask_decoder import MaskDecoder
from rsisrefiner_jax.models.sam.network import ask, best
from rsisrefiner_jax.models.sam.prompt_encoder import PromptEncoder
from rsisrefiner_jax.models.tiny_vit import Stages, TinyViT
from rsisrefiner_jax.ops.precision import wide
from rsisrefiner_jax.ops.resize import halve, resize_half_pixel

SURE = 8.0  # the largest of SAM's logits that is passed on


class PictureFeatures(NamedTuple):
    """What depends on the picture alone, as the click pyramid takes it in at each scale."""

    quarter: Float[Array, "b s/4 s/4 c4"]
    eighth: Float[Array, "b s/8 s/8 c8"]
    sixteenth: Float[Array, "b s/16 s/16 e"]
    embedding: Float[Array, "b s/16 s/16 256"]  # SAM's


class SamAnswer(NamedTuple):
    """What SAM's decoder says of an object."""

    chosen: Float[Array, "b q q 1"]  # logits of its answer
    maps: Float[Array, "b q q c"]  # that one, all its masks, and the map that they are read from
    quality: Float[Array, "b 6"]  # how good it thinks each mask and its answer; 1 if that is one of
    # its readings of a single click, else 0


class ImageOnlyRefiner(ClickModel):
    """The network. axis_name is unused: nothing depends on the other samples of a batch."""

    config: Model
    axis_name: str | None = None

    def setup(self) -> None:
        config = self.config
        d = jnp.bfloat16 if config.dtype == "bfloat16" else None
        self.backbone = TinyViT(d)
        self.picture = recomputed(PicturePyramid, config.remat)(config.mask_channels, d)
        self.pyramid = recomputed(ClickPyramid, config.remat)(
            config.mask_channels, config.adapter_heads, d
        )
        if config.sam_mask:
            self.prompt_encoder = PromptEncoder(dtype=d)
            self.mask_decoder = MaskDecoder(d)

    @property
    def image_size(self) -> int:
        return self.config.image_size

    @property
    def matmul_precision(self) -> str:
        return self.config.matmul_precision

    @property
    def encodes_alike(self) -> bool:
        return True

    def encode_fixed(self, image: Float[Array, "b s s 3"]) -> Stages | None:
        if "backbone" not in self.config.frozen or self.config.lora_rank:
            return None
        return self.backbone(normalise(image, self.config.channel_order))

    def encode_image(
        self, image: Float[Array, "b s s 3"], fixed: Stages | None = None
    ) -> PictureFeatures:
        image = normalise(image, self.config.channel_order)
        stages = self.backbone(image) if fixed is None else fixed
        quarter, eighth, sixteenth = self.picture(image, stages)
        return PictureFeatures(quarter, eighth, sixteenth, stages.embedding)

    def predict(
        self,
        features: PictureFeatures,
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        group: int = 1,
    ) -> Float[Array, "b s s"]:
        config = self.config
        side, size = config.image_size, (config.image_size, config.image_size)
        plain = is_empty(prev_mask)[:, None, None]
        modulated = modulated_mask(prev_mask, clicks, config, plain, group)
        masks = halve(jnp.stack([prev_mask, modulated], -1))
        maps = click_maps(clicks, side, 2, config.click_radius, config.click_reach)
        aux = jnp.concatenate([masks, maps], -1)
        sam = self.ask_sam(features, prev_mask, clicks) if config.sam_mask else None
        logits = self.pyramid(aux, features, sam)
        return resize_half_pixel(wide(logits), size)[..., 0]

    def ask_sam(
        self, features: PictureFeatures, prev_mask: Float[Array, "b s s"], clicks: Clicks
    ) -> SamAnswer:
        """What SAM says. Its logits are clipped, as they reach 30 where it is sure and wrong."""
        answer = ask(self.prompt_encoder, self.mask_decoder, features.embedding, prev_mask, clicks)
        index = best(answer, clicks)[:, None]
        masks = jnp.clip(answer.masks, -SURE, SURE)
        chosen = jnp.take_along_axis(masks, index[:, None, None], -1)
        maps = jnp.concatenate([chosen / 4, masks / 4, answer.features], -1)
        quality = [answer.iou, jnp.take_along_axis(answer.iou, index, -1), index > 0]
        return SamAnswer(chosen, maps, jnp.concatenate(quality, -1))


class PicturePyramid(nn.Module):
    """The picture and the backbone's stages -> maps of a quarter, an eighth, a 16th of the side."""

    channels: tuple[int, int, int, int]
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "b s s 3"], stages: Stages
    ) -> tuple[Float[Array, "b q q c4"], Float[Array, "b e e c8"], Float[Array, "b x x c16"]]:
        d, (c2, c4, c8, e) = self.dtype, self.channels
        half = conv_he(image, c2, 3, stride=2, name="half", dtype=d)
        half = half + conv_he(nn.relu(half), c2, 3, name="half_1", dtype=d)
        quarter = Down(c4, d, name="half_to_quarter")(half)
        quarter = quarter + conv(stages.stage_0, c4, 1, name="quarter", dtype=d)
        quarter = ResidualBlock(d, name="quarter_block")(quarter)
        eighth = conv(stages.stage_1, c8, 1, name="eighth", dtype=d)
        deep = jnp.concatenate([stages.stage_2, stages.embedding], -1)
        return quarter, eighth, conv(deep, e, 1, name="sixteenth", dtype=d)


class ClickPyramid(nn.Module):
    """Clicks and masks down to a 16th of the side, the paper's decoder there, and up again.

    They come in at half of the side, logits leave at a quarter.
    """

    channels: tuple[int, int, int, int]
    heads: int
    dtype: Dtype | None = None

    @nn.compact
    def __call__(
        self,
        aux: Float[Array, "b m m 6"],
        picture: PictureFeatures,
        sam: SamAnswer | None,
    ) -> Float[Array, "b m/2 m/2 1"]:
        d, (c2, c4, c8, e) = self.dtype, self.channels
        half = conv_he(aux, c2, 3, name="half", dtype=d)
        quarter = Down(c4, d, name="down_4")(half) + picture.quarter
        if sam is not None:
            quarter = quarter + conv(sam.maps, c4, 1, name="sam", dtype=d)
        quarter = ResidualBlock(d, name="quarter")(quarter)
        eighth = Down(c8, d, name="down_8")(quarter) + picture.eighth
        eighth = ResidualBlock(d, name="eighth")(eighth)
        x = Down(e, d, name="down_16")(eighth) + picture.sixteenth
        x = ResidualBlock(d, name="sixteenth")(x)

        b, side, _, _ = x.shape
        token = self.param("mask_token", nn.initializers.normal(0.02), (1, e)).astype(x.dtype)
        token, feature = jnp.broadcast_to(token, (b, 1, e)), x.reshape(b, side * side, e)
        for i in range(2):
            token, feature = DecoderLayer(self.heads, d, name=f"layer_{i}")(token, feature)
        token = FinalToken(self.heads, d, name="final_token")(token, feature)
        x = x + feature.reshape(x.shape)

        eighth = Join(d, name="up_8")(x, eighth)
        quarter = Join(d, name="up_4")(eighth, quarter)
        kernel = nn.relu(linear(token, c4, name="kernel_mlp_in", dtype=d))
        kernel = linear(kernel, 9 * c4 + 1, name="kernel_mlp_out", dtype=d)
        dynamic = dynamic_conv(quarter, kernel * 0.1)[..., None]
        logits = dynamic + conv_he(nn.relu(quarter), 1, 3, name="fine", zero=True, dtype=d)
        if sam is None:
            return logits
        # How far SAM's answer is trusted, a half in the beginning: at first clicks it is often
        # right, where it has the wrong scale or wavers between two it is not.
        told = jnp.concatenate([token, sam.quality.astype(token.dtype)], -1)
        trust = nn.sigmoid(linear_zero(told, 1, name="trust", dtype=d))
        return trust[:, None, None] * sam.chosen + logits
