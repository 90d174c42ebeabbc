"""What the click engine asks of a network. Any click model implements it once and for all."""

from typing import Any

import jax
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float

from rsisrefiner_jax.interaction.clicks import Clicks


class ClickModel(nn.Module):
    """A network that answers clicks on a square crop of side `image_size`.

    What it does with an empty previous mask, with modulation and with channel order is its own
    and hidden behind these two methods. Training, evaluation, the Predictor and the annotator
    call them through `apply`, as pure functions of the variables:

        features = model.apply(variables, image, method="encode_image")
        logits = model.apply(variables, features, prev_mask, clicks, method="predict")

    Instances are hashable: they are static arguments of compiled functions. A model with BatchNorm
    has a `__call__` of its own for training; one without sets `encodes_alike`.
    """

    @property
    def image_size(self) -> int:
        """s, the side of the square input in pixels."""
        raise NotImplementedError

    @property
    def matmul_precision(self) -> str:
        """Of float32 products, as `jax.default_matmul_precision`, which `default` leaves alone."""
        return "default"

    @nn.nowrap
    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Flax's, under `matmul_precision`, which gradients inherit."""
        if self.matmul_precision == "default":
            return super().apply(*args, **kwargs)
        with jax.default_matmul_precision(self.matmul_precision):
            return super().apply(*args, **kwargs)

    def encode_image(self, image: Float[Array, "b s s 3"]) -> Any:
        """What depends on the picture alone, computed once for all clicks on a crop.

        Args:
            image: RGB in 0..1.

        Returns:
            A tree of arrays [b, ...].
        """
        raise NotImplementedError

    def encode_fixed(self, image: Float[Array, "b s s 3"]) -> Any:
        """What of `encode_image` depends on the picture and on frozen parameters alone.

        Training computes it once a step, however many clicks that has, and gives it to
        `encode_image` as `fixed`. None: nothing, and `encode_image` has no such argument.
        """
        return None

    def predict(
        self,
        features: Any,
        prev_mask: Float[Array, "b s s"],
        clicks: Clicks,
        *,
        group: int = 1,
    ) -> Float[Array, "b s s"]:
        """The answer to the last click: logits, float32 or wider.

        Args:
            prev_mask: probabilities; all zero where nothing was predicted yet.
            clicks: in pixels of the input; one may lie outside of it.
            group: consecutive rows that are one object (a crop and its mirror image).
        """
        raise NotImplementedError

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
        """`encode_image` and `predict` in one, which differ in training where there is BatchNorm.

        Args:
            first: whether the batch holds first clicks. It is static, since a gradient needs a
                fixed number of passes.
            train: BatchNorm takes the batch's statistics.
        """
        return self.predict(self.encode_image(image), prev_mask, clicks, group=group)

    @property
    def first_passes(self) -> int:
        """How many passes a first click takes; a training step is compiled anew where not one."""
        return 1

    @property
    def encodes_alike(self) -> bool:
        """Whether `encode_image` is the same function in training, where it has a gradient."""
        return False

    def training_group(self, batch: int) -> int:
        """`group` of a training batch."""
        return 1


def is_empty(prev_mask: Float[Array, "b s s"]) -> Bool[Array, " b"]:
    """Whether nothing was predicted yet."""
    return (prev_mask == 0).all((1, 2))
