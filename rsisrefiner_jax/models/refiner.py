"""RS-ISRefiner assembled: picture, clicks and previous mask -> logits (paper figure 2)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rsisrefiner_jax.clicks import Clicks, disks, empty
from rsisrefiner_jax.config import Model
from rsisrefiner_jax.models.decoder import Decoder, MultiScaleFusion
from rsisrefiner_jax.models.extractor import ImageFeatureExtractor
from rsisrefiner_jax.models.fusion import ImageFeatureFusion, early_fusion
from rsisrefiner_jax.models.modulation import modulate
from rsisrefiner_jax.models.neck import SimpleFPN
from rsisrefiner_jax.models.prev_mask import PrevMaskEncoder
from rsisrefiner_jax.models.vit import PatchEmbed, ViT
from rsisrefiner_jax.ops.resize import resize_align_corners

IMAGE_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGE_STD = np.array([0.229, 0.224, 0.225], np.float32)


class Refiner(nn.Module):
    """One click's answer.

    image [b, s, s, 3] in 0..1, prev_mask [b, s, s] probabilities, clicks in pixels of the s x s
    input -> logits [b, s, s], float32.

    With `double`, a sample whose previous mask is exactly zero is predicted first and refined
    with that prediction as its previous mask (the reference's rule for a first click, per
    sample); the static flag says whether the batch may hold such samples.
    `group`: consecutive samples that are one object (a picture and its mirror image).
    """

    config: Model
    axis_name: str | None = None

    def setup(self):
        self.network = Network(self.config, self.axis_name)

    def __call__(
        self,
        image,
        prev_mask,
        clicks: Clicks,
        *,
        double: bool,
        group: int = 1,
        train: bool = False,
    ):
        if double:
            logits = self.one_pass(image, prev_mask, prev_mask, clicks, group=group, train=train)
            predicted = nn.sigmoid(logits)
            if not self.config.first_pass_gradient:
                predicted = jax.lax.stop_gradient(predicted)
            is_empty = jnp.all(prev_mask == 0, axis=(1, 2), keepdims=True)
            prev_mask = jnp.where(is_empty, predicted, prev_mask)
        modulated = self.modulate(prev_mask, clicks, group=group)
        return self.one_pass(image, prev_mask, modulated, clicks, group=group, train=train)

    def modulate(self, prev_mask, clicks: Clicks, *, group: int = 1):
        """The modulated previous mask; no gradient."""
        prev_mask = jax.lax.stop_gradient(prev_mask)
        return modulate(prev_mask, clicks, self.config.modulation, group=group)

    def one_pass(
        self, image, prev_mask, modulated, clicks: Clicks, *, group: int = 1, train: bool = False
    ):
        """The network once, on a modulated mask that is given: logits [b, s, s]."""
        side = image.shape[1]
        image = (image - IMAGE_MEAN[None, None, None]) / IMAGE_STD[None, None, None]
        click_maps = disks(clicks, image.shape[1:3], self.config.click_radius)
        # The network's second input: previous mask, modulated mask, positive and negative disks.
        aux = jnp.concatenate([prev_mask[..., None], modulated[..., None], click_maps], -1)
        logits = self.network(image, aux, group=group, train=train)
        return resize_align_corners(logits[..., None], (side, side))[..., 0]


class Network(nn.Module):
    """One pass: normalised image [b, s, s, 3], auxiliary tensor [b, s, s, 4] -> [b, s/4, s/4]."""

    config: Model
    axis_name: str | None = None

    @nn.compact
    def __call__(self, image, aux, *, group: int, train: bool):
        config = self.config
        dtype = jnp.bfloat16 if config.dtype == "bfloat16" else None
        settings: dict[str, Any] = {"axis_name": self.axis_name, "dtype": dtype}
        self.sow("intermediates", "coord_features", aux)

        # A network that starts from a plain ViT begins without a trace of clicks in its tokens.
        plain = "patch_embed_coords" not in config.frozen and "backbone" in config.frozen
        coords = PatchEmbed(
            config.width,
            config.patch_size,
            nn.initializers.zeros if plain else nn.initializers.xavier_uniform(),
            dtype,
            name="patch_embed_coords",
        )(aux)
        self.sow("intermediates", "coord_tokens", coords)
        first, second, last = ViT(
            config.width,
            config.depth,
            config.heads,
            config.patch_size,
            config.attention,
            config.early_blocks,
            dtype,
            name="backbone",
        )(image, coords)
        if {"backbone", "patch_embed_coords"} <= set(config.frozen):
            first, second, last = jax.lax.stop_gradient((first, second, last))
        side = image.shape[1] // config.patch_size
        f_vit = last.reshape(last.shape[0], side, side, config.width)

        early = early_fusion(first, second, config.early_fusion, dtype)
        self.sow("intermediates", "F_early", early)
        extracted = ImageFeatureExtractor(
            config.extractor_channels, config.width, **settings, name="extractor"
        )(image, train)
        f_hq = ImageFeatureFusion(config.adapter_heads, config.theta, **settings, name="fusion")(
            early, extracted, train
        )
        self.sow("intermediates", "F_HQ", f_hq)
        f_mask = PrevMaskEncoder(config.mask_channels, config.width, **settings, name="prev_mask")(
            aux, train
        )
        self.sow("intermediates", "F_mask", f_mask)
        levels = SimpleFPN(config.fpn_channels, dtype, name="neck")(f_vit)
        f_multiscale = MultiScaleFusion(config.width // 4, dtype, name="multi_scale")(levels)
        self.sow("intermediates", "F_multiscale", f_multiscale)

        detail = f_hq + f_multiscale if config.f_hq else f_multiscale
        self.sow("intermediates", "F_HQ_plus_F_multiscale", detail)
        logits = Decoder(config.adapter_heads, config.decoder, config.f_vit, dtype, name="decoder")(
            f_mask, f_vit, detail, group
        )
        logits = logits.astype(jnp.float32)
        self.sow("intermediates", "logits_112", logits)
        return logits


def init_variables(config: Model, key: jax.Array) -> dict[str, Any]:
    """Random parameters and fresh BatchNorm statistics: {"params": ..., "batch_stats": ...}."""
    side = config.image_size

    def init(key):
        variables = Refiner(config).init(
            key,
            jnp.zeros((1, side, side, 3)),
            jnp.zeros((1, side, side)),
            empty(1, 1),
            double=False,
        )
        return {name: variables[name]["network"] for name in ("params", "batch_stats")}

    return jax.jit(init)(key)


def abstract_variables(config: Model) -> dict[str, Any]:
    """Shapes and dtypes of `init_variables`, without computing anything."""
    return jax.eval_shape(lambda: init_variables(config, jax.random.key(0)))


def apply(config: Model, variables: dict[str, Any], *args, axis_name=None, mutable=(), **kwargs):
    """The network as a pure function: `Refiner` with {"params": ..., "batch_stats": ...}.

    Takes the arguments of `Refiner.__call__`, or of the method that `method` names. Returns
    logits, or (logits, {collection: new values}) when `mutable` names collections.
    """
    nested = {name: {"network": tree} for name, tree in variables.items()}
    out = Refiner(config, axis_name).apply(nested, *args, mutable=list(mutable) or False, **kwargs)
    if not mutable:
        return out
    logits, updated = out
    return logits, {name: tree["network"] for name, tree in updated.items()}
