"""SAM as a click model: TinyViT, SAM's prompt encoder and its mask decoder, nothing trained."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.click_model import ClickModel, is_empty
from rsisrefiner_jax.interaction.clicks import Clicks, count
from rsisrefiner_jax.models.normalise import normalise
from rsisrefiner_jax.models.sam.mask_decoder import Answer, MaskDecoder
from rsisrefiner_jax.models.sam.prompt_encoder import PromptEncoder
from rsisrefiner_jax.models.tiny_vit import TinyViT
from rsisrefiner_jax.ops.resize import resize_half_pixel

LARGEST_LOGIT = 10.0  # of a previous mask, whose probabilities may be exactly 0 or 1


class Sam(ClickModel):
    """MobileSAM, clicked as its authors do.

    A first click is ambiguous and has three readings, of which the best by SAM's own estimate is
    taken; later clicks take the mask that is meant for them. The previous mask goes in as logits.
    """

    config: Model
    axis_name: str | None = None

    def setup(self) -> None:
        d = jnp.bfloat16 if self.config.dtype == "bfloat16" else None
        self.backbone = TinyViT(d)
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

    def encode_image(self, image: Float[Array, "b s s 3"]) -> Float[Array, "b s/16 s/16 256"]:
        return self.backbone(normalise(image, self.config.channel_order)).embedding

    def predict(
        self,
        features: Float[Array, "b g g 256"],
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        group: int = 1,
    ) -> Float[Array, "b s s"]:
        answer = ask(self.prompt_encoder, self.mask_decoder, features, prev_mask, clicks)
        mask = jnp.take_along_axis(answer.masks, best(answer, clicks)[:, None, None, None], -1)
        return resize_half_pixel(mask, (self.image_size, self.image_size))[..., 0]


def ask(
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
    embedding: Float[Array, "b g g 256"],
    prev_mask: Float[Array, "b s s"],
    clicks: Clicks,
) -> Answer:
    """What SAM says of a previous mask and clicks."""
    side = prev_mask.shape[1]
    logits = mask_prompt(prev_mask)
    given = 1.0 - is_empty(prev_mask).astype(jnp.float32)
    return mask_decoder(
        embedding,
        prompt_encoder.grid(embedding.shape[1]),
        prompt_encoder.clicks(clicks, side),
        prompt_encoder.mask(logits, given),
    )


def mask_prompt(prev_mask: Float[Array, "b s s"]) -> Float[Array, "b s/4 s/4"]:
    """The logits of a map of probabilities, at a quarter of its side."""
    b, side, _ = prev_mask.shape
    mean = prev_mask.reshape(b, side // 4, 4, side // 4, 4).mean((2, 4))
    least = nn.sigmoid(-LARGEST_LOGIT)
    mean = jnp.clip(mean, least, 1 - least)
    return jnp.log(mean) - jnp.log1p(-mean)


def best(answer: Answer, clicks: Clicks) -> Int[Array, " b"]:
    """Which mask is meant: the likeliest of the last three for one click, else the first."""
    return jnp.where(count(clicks) > 1, 0, 1 + answer.iou[:, 1:].argmax(-1))
