"""Objects that may overlap, in as few pictures of ids as it takes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from rsisrefiner_jax.formats.masks import Mask


def lay_out(
    ids: Sequence[int], masks: Sequence[Mask], size: tuple[int, int]
) -> tuple[np.ndarray, list[int]]:
    """Labels int32 [h, w, layers] and each mask's layer: the first where it overlaps none.

    Args:
        masks: within the picture of `size` (height, width).
    """
    stack = [np.zeros(size, np.int32)]
    layers = []
    for id, mask in zip(ids, masks, strict=True):
        left, top, right, bottom = mask.box
        window = np.s_[top:bottom, left:right]
        free = (n for n, labels in enumerate(stack) if not labels[window][mask.pixels].any())
        layer = next(free, len(stack))
        if layer == len(stack):
            stack.append(np.zeros(size, np.int32))
        stack[layer][window][mask.pixels] = id
        layers.append(layer)
    return np.moveaxis(np.stack(stack), 0, -1), layers  # each layer stays contiguous


def layers_of(masks: Sequence[Mask], each: Callable[..., Iterable[Mask]] = iter) -> list[int]:
    """As `lay_out` has them, without a picture; many masks of a picture of any size.

    each: what goes through the masks, such as `Progress.each`.
    """
    import shapely

    chosen: list[int] = []
    boxes = shapely.box(*np.array([mask.box for mask in masks]).reshape(-1, 4).T)
    near: dict[int, list[int]] = defaultdict(list)  # of masks the earlier ones beside or on them
    for i, j in shapely.STRtree(boxes).query(boxes).T.tolist():
        if j < i:
            near[i].append(j)
    for i, mask in enumerate(each(masks)):
        taken = {chosen[j] for j in near[i] if _overlap(masks[j], mask)}
        chosen.append(next(n for n in range(len(taken) + 1) if n not in taken))
    return chosen


def _overlap(one: Mask, other: Mask) -> bool:
    return one.shared(other) > 0
