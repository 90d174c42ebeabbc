"""RS-ISRefiner assembled: picture, clicks and previous mask -> logits (paper figure 2)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from rsisrefiner_jax.clicks import Clicks, disks, empty
from rsisrefiner_jax.config import Model
from rsisrefiner_jax.models.decoder import Decoder, MultiScaleFusion
from rsisrefiner_jax.models.extractor import ImageFeatureExtractor
from rsisrefiner_jax.models.fusion import ImageFeatureFusion, ImageProjections, early_fusion
from rsisrefiner_jax.models.layers import uniform
from rsisrefiner_jax.models.modulation import modulate
from rsisrefiner_jax.models.neck import SimpleFPN
from rsisrefiner_jax.models.prev_mask import PrevMaskEncoder
from rsisrefiner_jax.models.vit import PatchEmbed, ViT
from rsisrefiner_jax.ops.resize import resize_align_corners

IMAGE_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGE_STD = np.array([0.229, 0.224, 0.225], np.float32)


class ImageFeatures(NamedTuple):
    """What depends on the picture alone, computed once for all clicks on it.

    Early fusion lets clicks into the tokens before the first block, so that nothing behind the
    ViT belongs here.
    """

    tokens: Array  # embedded patches [b, n, width]
    projections: ImageProjections


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
        features = self.image_features(image, train=train)
        if double:
            logits = self.answer(features, prev_mask, prev_mask, clicks, group=group, train=train)
            predicted = nn.sigmoid(logits)
            if not self.config.first_pass_gradient:
                predicted = jax.lax.stop_gradient(predicted)
            is_empty = jnp.all(prev_mask == 0, axis=(1, 2), keepdims=True)
            prev_mask = jnp.where(is_empty, predicted, prev_mask)
            if train:  # BatchNorm's running statistics count every pass
                features = self.image_features(image, train=train)
        modulated = self.modulate(prev_mask, clicks, group=group)
        return self.answer(features, prev_mask, modulated, clicks, group=group, train=train)

    def modulate(self, prev_mask, clicks: Clicks, *, group: int = 1):
        """The modulated previous mask; no gradient."""
        prev_mask = jax.lax.stop_gradient(prev_mask)
        return modulate(prev_mask, clicks, self.config.modulation, group=group)

    def image_features(self, image, *, train: bool = False) -> ImageFeatures:
        """The part of a pass that depends on image [b, s, s, 3] alone."""
        image = (image - IMAGE_MEAN[None, None, None]) / IMAGE_STD[None, None, None]
        return self.network.image_features(image, train=train)

    def answer(
        self,
        features: ImageFeatures,
        prev_mask,
        modulated,
        clicks: Clicks,
        *,
        group: int = 1,
        train: bool = False,
    ):
        """The rest of a pass, on a modulated mask that is given: logits [b, s, s]."""
        size = prev_mask.shape[1:]
        click_maps = disks(clicks, size, self.config.click_radius)
        # The network's second input: previous mask, modulated mask, positive and negative disks.
        aux = jnp.concatenate([prev_mask[..., None], modulated[..., None], click_maps], -1)
        logits = self.network(features, aux, group=group, train=train)
        return resize_align_corners(logits[..., None], size)[..., 0]

    def one_pass(self, image, prev_mask, modulated, clicks: Clicks, *, group: int = 1):
        """`image_features` and `answer`."""
        return self.answer(self.image_features(image), prev_mask, modulated, clicks, group=group)


class Network(nn.Module):
    """Features of the normalised image and the auxiliary tensor [b, s, s, 4] -> [b, s/4, s/4]."""

    config: Model
    axis_name: str | None = None

    def setup(self):
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

    def image_features(self, image, *, train: bool) -> ImageFeatures:
        """What depends on the normalised image [b, s, s, 3] alone."""
        extracted = self.extractor(image, train)
        return ImageFeatures(self.backbone.embed(image), self.fusion.project(extracted))

    def __call__(self, features: ImageFeatures, aux, *, group: int, train: bool):
        config = self.config
        self.sow("intermediates", "coord_features", aux)
        coords = self.patch_embed_coords(aux)
        self.sow("intermediates", "coord_tokens", coords)
        first, second, last = self.backbone(features.tokens, coords)
        if {"backbone", "patch_embed_coords"} <= set(config.frozen):
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
