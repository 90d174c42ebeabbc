"""What the click models on a plain ViT share: RS-ISRefiner, MFP and SimpleClick.

Clicks and masks enter the ViT beside the picture, before its first block.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype
from jax import Array
from jaxtyping import Bool, Float

from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.click_model import ClickModel, is_empty
from rsisrefiner_jax.interaction.clicks import Clicks, disks
from rsisrefiner_jax.models.fpn import SimpleFPN
from rsisrefiner_jax.models.refiner.modulation import modulated_mask
from rsisrefiner_jax.models.vit import PatchEmbed, ViT
from rsisrefiner_jax.ops.precision import wide, widest_float
from rsisrefiner_jax.ops.resize import resize_align_corners


class PlainViTModel(ClickModel):
    """A network of a ViT, SimpleFPN and what a subclass puts behind them in `decode`.

    axis_name: of the devices over which BatchNorm takes its statistics.
    """

    config: Model
    axis_name: str | None = None

    def setup(self) -> None:
        config, d = self.config, self.dtype
        # A network that starts from a plain ViT begins without a trace of clicks in its tokens.
        plain = "patch_embed_coords" not in config.frozen and "backbone" in config.frozen
        init = nn.initializers.zeros if plain else nn.initializers.xavier_uniform()
        self.patch_embed_coords = PatchEmbed(config.width, config.patch_size, init, d)
        self.backbone = ViT(
            config.width,
            config.depth,
            config.heads,
            config.patch_size,
            config.image_size // config.patch_size,
            config.attention,
            config.early_blocks,
            d,
            config.attention_kernel,
        )
        self.neck = SimpleFPN(config.fpn_channels, d)

    @property
    def dtype(self) -> Dtype | None:
        """Of the computation; None: that of the parameters."""
        return jnp.bfloat16 if self.config.dtype == "bfloat16" else None

    @property
    def image_size(self) -> int:
        return self.config.image_size

    @property
    def matmul_precision(self) -> str:
        return self.config.matmul_precision

    @property
    def first_passes(self) -> int:
        return 2 if self.config.first_pass == "double" else 1

    def encode_image(self, image: Float[Array, "b s s 3"], *, train: bool = False) -> Any:
        raise NotImplementedError

    def decode(
        self, features: Any, aux: Float[Array, "b s s c"], *, group: int, train: bool
    ) -> Float[Array, "b s/4 s/4"]:
        """Features of the picture and the second input -> logits at a quarter of the size."""
        raise NotImplementedError

    def auxiliary(
        self,
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        plain: bool | Bool[Array, ""] | Bool[Array, "b 1 1"],
        group: int,
    ) -> Float[Array, "b s s 4"]:
        """The second input: previous mask, modulated mask, positive and negative disks.

        plain: where the mask is not modulated.
        """
        modulated = modulated_mask(prev_mask, clicks, self.config, plain, group)
        maps = [prev_mask[..., None], modulated[..., None], self.disks(clicks)]
        return jnp.concatenate(maps, -1)

    def disks(self, clicks: Clicks) -> Float[Array, "b s s 2"]:
        """The click maps, positive ones first."""
        return disks(clicks, (self.image_size, self.image_size), self.config.click_radius)

    def vit(
        self, tokens: Float[Array, "b n e"], aux: Float[Array, "b s s c"]
    ) -> tuple[Float[Array, "b n e"], Float[Array, "b n e"], Float[Array, "b g g e"]]:
        """F_ViT^1, F_ViT^2 and F_ViT, the last as a map. tokens: the embedded picture."""
        coords = self.patch_embed_coords(aux)
        self.sow("intermediates", "coord_tokens", coords)
        first, second, last = self.backbone(tokens, coords)
        frozen = {"backbone", "patch_embed_coords"} <= set(self.config.frozen)
        if frozen and not self.config.lora_rank:
            first, second, last = jax.lax.stop_gradient((first, second, last))
        side = aux.shape[1] // self.config.patch_size
        return first, second, last.reshape(last.shape[0], side, side, -1)

    def predict(
        self,
        features: Any,
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

        prev_mask = prev_mask.astype(widest_float())  # that of logits
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
        features: Any,
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        draft: bool | Bool[Array, ""],
        group: int = 1,
        train: bool = False,
    ) -> Float[Array, "b s s"]:
        """One pass of the network. draft: its answer is only the previous mask of the next one."""
        plain = is_empty(prev_mask)[:, None, None] if self.first_passes == 1 else draft
        aux = self.auxiliary(prev_mask, clicks, plain, group)
        self.sow("intermediates", "coord_features", aux)
        logits = wide(self.decode(features, aux, group=group, train=train))
        self.sow("intermediates", "logits_112", logits)
        size = self.image_size, self.image_size
        return resize_align_corners(logits[..., None], size)[..., 0]
