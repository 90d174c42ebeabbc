"""Applies the table of a kind, strictly: every key has a rule and every target path one source."""

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from convert_weights import adapt, mobilesam, rules
from convert_weights.rules import same
from convert_weights.source import Source
from rsisrefiner_jax.config import BASELINES, Config, Model
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.weights import some

# Parameters of a ViT that no layer of ours reads.
UNUSED = (
    r"cls_token|mask_token|register_tokens|reg_token|(fc_)?norm\.(weight|bias)|head\.(weight|bias)"
)
UNUSED_HEAD = r"head\.up_conv[12]\..*"  # of MFP and SimpleClick, which never run it
COUNTER = r".*\.num_batches_tracked"  # of BatchNorm, which flax does not keep
LEFT_OVER = {
    "mfp": r"head\..*",  # MFP's own decoder
    "simpleclick": r"head\..*",
    "vit": r"decoder_.*",  # of a masked autoencoder
    "mobilesam": mobilesam.LEFT_OVER,
}
PREFIX = {"vit": "", "mobilesam": ""}  # of the backbone's keys; of other kinds "backbone."
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}  # by width, the usual ViT sizes


@dataclasses.dataclass(frozen=True)
class Conversion:
    """The arrays of a checkpoint under our paths, and what became of every key."""

    kind: str
    whole: bool  # all of the network, and not only what another one starts from
    sizes: rules.Sizes
    arrays: dict[str, np.ndarray]  # {"a/b/c": float32}; batch statistics below "batch_stats/"
    mapped: dict[str, str]  # {PyTorch key: path}
    unused: dict[str, int]  # {PyTorch key: number of parameters} that no layer reads
    left_over: tuple[str, ...]  # PyTorch keys that belong to another network
    adapted: tuple[str, ...]  # PyTorch keys that are not only renamed and moved (resized, folded)


def convert(source: Source, kind: str, image_size: int, whole: bool = False) -> Conversion:
    """Renames, transposes and checks the tensors of `source`. The arrays are views where possible.

    whole: of MFP and SimpleClick, all of the network; else what RS-ISRefiner starts from.

    Raises:
        UserError: naming every key without a rule, every missing one and every wrong shape.
    """
    whole = whole or kind == "rsisrefiner"
    tensors, folded = plain(source, kind)
    plan = _Plan.of(source, tensors, kind, image_size, whole)
    arrays: dict[str, np.ndarray] = {}
    mapped: dict[str, str] = {}
    unused: dict[str, int] = {}
    left_over, changed, unknown, wrong = [], [], [], []
    for key, tensor in tensors.items():
        rule, path = _find(plan.table, key)
        if rule is not None and path in plan.expected and path not in arrays:
            mapped[key] = path
            fitted = plan.fit(key, tensor)
            arrays[path] = moved = rule.apply(fitted)
            if (
                tensor is not source.tensors.get(key, tensor)
                or fitted.shape != tensor.shape
                or tensor.dtype.itemsize > moved.dtype.itemsize  # float64 is rounded
            ):
                changed.append(key)
            shape = plan.expected[path]
            if moved.shape != shape or moved.dtype != np.float32:
                found = f"{tensor.dtype} {tensor.shape}"
                wrong.append(f"{key} is {found}: gives {moved.shape}, expected {shape}")
        elif re.fullmatch(plan.unread, key):
            unused[key] = tensor.size
        elif re.fullmatch(plan.left_over, key):
            left_over.append(key)
        else:
            unknown.append(key)
    missing = [_source_name(plan.table, path) for path in plan.expected if path not in arrays]
    problems = [
        some("missing", missing),
        some("without a rule", unknown),
        some("of another shape or type", wrong),
    ]
    if any(problems):
        raise UserError(
            f"{source.path} does not fit --kind {kind}: {'; '.join(filter(None, problems))}"
        )
    mapped |= {key: mapped[into] for key, into in folded.items()}
    changed += folded
    return Conversion(
        kind, whole, plan.sizes, arrays, mapped, unused, tuple(left_over), tuple(changed)
    )


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What has to become of the tensors of a file."""

    prefix: str  # of the backbone's keys
    sizes: rules.Sizes
    table: list[rules.Rule]
    expected: dict[str, tuple[int, ...]]  # shapes by path
    fitting: dict[str, rules.Move]  # of tensors that are changed before they are moved, by key
    unread: str  # keys that no layer reads: a regular expression, as the next one
    left_over: str  # keys of another network

    @classmethod
    def of(
        cls, source: Source, tensors: adapt.Tensors, kind: str, image_size: int, whole: bool
    ) -> "_Plan":
        """tensors: what `plain` made of the source."""
        prefix = PREFIX.get(kind, "backbone.")
        sizes = measure(source, prefix, image_size)
        table = rules_of(kind, sizes, prefix, whole)
        expected = dict(_expected(kind, whole, table, sizes, image_size))
        if kind == "mobilesam":  # a file may hold the encoder alone
            there = mobilesam.parts(tensors)
            expected = {path: e for path, e in expected.items() if path.split("/")[0] in there}
        fitting: dict[str, rules.Move] = {
            "pos_embed": lambda w: adapt.fit_pos_embed(w, sizes.grid),
        }
        if kind == "simpleclick" and not whole:
            fitting["patch_embed_coords.proj.weight"] = adapt.add_modulated_channel
        unread = re.escape(prefix) + f"({mobilesam.UNUSED if kind == 'mobilesam' else UNUSED})"
        left_over = LEFT_OVER.get(kind, "")
        if whole and kind != "mobilesam":
            unread, left_over = f"{unread}|{UNUSED_HEAD}", COUNTER
        return cls(prefix, sizes, table, expected, fitting, unread, left_over)

    def fit(self, key: str, tensor: np.ndarray) -> np.ndarray:
        """The tensor, made to fit this network where it is one of those."""
        return self.fitting.get(key.removeprefix(self.prefix), same)(tensor)


def plain(source: Source, kind: str) -> tuple[adapt.Tensors, dict[str, str]]:
    """The tensors that the rules of a kind read; {key that went into another: that one}."""
    if kind == "mobilesam":
        return mobilesam.canonical(source.tensors)
    return adapt.fold_layer_scale(source.tensors)


def check_round_trip(source: Source, result: Conversion, written: dict[str, np.ndarray]) -> None:
    """Compares what was written, read back, with the source bit for bit through the inverse rules.

    The tensors in `result.adapted` are compared with what they were changed to.

    Raises:
        UserError: naming the first tensor that differs.
    """
    prefix = PREFIX.get(result.kind, "backbone.")
    table = rules_of(result.kind, result.sizes, prefix, result.whole)
    tensors, _ = plain(source, result.kind)
    for key, path in result.mapped.items():
        rule, _ = _find(table, key)
        if key in result.adapted or rule is None:
            expected, back = result.arrays[path], written.get(path)
        else:
            expected, back = tensors[key], written.get(path)
            back = None if back is None else rule.undo(back).astype(expected.dtype, copy=False)
        require(
            back is not None and _same_bits(back, expected),
            f"{key} of {source.path} does not come back as it was; nothing was kept, try again "
            "on another disk",
        )


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return np.array_equal(a.view(bits), b.view(bits))


def measure(source: Source, prefix: str, image_size: int) -> rules.Sizes:
    """Width, depth, patch and neck channels from the tensors; ViT-B's where they do not say."""
    tensors, default = source.tensors, rules.Sizes()
    embed = tensors.get(f"{prefix}patch_embed.proj.weight", np.empty(0))
    width, patch = embed.shape[:3:2] if embed.ndim == 4 else (768, 16)
    blocks = {m[1] for key in tensors if (m := re.match(rf"{prefix}blocks\.([0-9]+)\.", key))}
    require(
        patch > 0 and image_size > 0 and image_size % patch == 0,
        f"--image-size {image_size} is not a multiple of {patch}, the patch size of {source.path}",
    )
    norms = ("down_4.6", "down_8.3", "down_16.1", "down_32.3")
    biases = [tensors.get(f"neck.{norm}.bias", np.empty(0)) for norm in norms]
    c4, c8, c16, c32 = (
        bias.size or usual for bias, usual in zip(biases, default.fpn_channels, strict=True)
    )
    grid = image_size // patch
    return rules.Sizes(width, len(blocks), patch, grid, (c4, c8, c16, c32))


def rules_of(kind: str, sizes: rules.Sizes, prefix: str, whole: bool = True) -> list[rules.Rule]:
    """The table of a kind, and of its head where the `whole` network is wanted."""
    if kind == "mobilesam":
        return mobilesam.rules()
    table = rules.backbone(sizes, prefix)
    if kind != "vit":
        table += rules.patch_embed_coords(sizes) + rules.neck(sizes)
    if whole:
        heads = {"rsisrefiner": rules.adapter, "mfp": rules.mfp_head}
        table += heads.get(kind, rules.levels_head)()
    return table


def model_of(kind: str, sizes: rules.Sizes, image_size: int) -> Model:
    """The `config.model` of the whole network, as it was trained."""
    if kind == "mobilesam":
        frozen = tuple(mobilesam.PARTS)
        return Model(network="sam", backbone="tiny_vit", image_size=image_size, frozen=frozen)
    own: dict[str, Any] = {"decoder": "released"}
    if kind in BASELINES:
        own = {"network": kind, "frozen": (), **BASELINES[kind]}
    return Model(
        image_size=image_size,
        patch_size=sizes.patch_size,
        width=sizes.width,
        depth=sizes.depth,
        heads=HEADS.get(sizes.width, 12),
        fpn_channels=sizes.fpn_channels,
        **own,
    )


def origin(source: Source, result: Conversion, record: dict[str, Any]) -> dict[str, Any]:
    """What a converted file says about itself; `record` is its certificate."""
    about = {
        "kind": result.kind,
        "source": os.path.basename(source.path),
        "sha256": source.sha256,
        "unused": sum(result.unused.values()),
        "certificate": record,
    }
    if result.kind == "mobilesam":
        return about
    return about | {
        "width": result.sizes.width,
        "depth": result.sizes.depth,
        "heads": HEADS.get(result.sizes.width),
        "patch_size": result.sizes.patch_size,
        "grid": result.sizes.grid,
        "fpn_channels": None if result.kind == "vit" else result.sizes.fpn_channels,
    }


def checkpoint_config(source: Source, result: Conversion, image_size: int) -> Config:
    """The config that a converted checkpoint carries."""
    note = f"converted from {os.path.basename(source.path)} (sha256 {source.sha256[:16]})"
    model = model_of(result.kind, result.sizes, image_size)
    if result.kind == "rsisrefiner":  # trained on pictures as OpenCV reads them
        model = dataclasses.replace(model, channel_order="bgr")
    return Config(name="converted", note=note, model=model)


def _expected(
    kind: str, whole: bool, table: list[rules.Rule], sizes: rules.Sizes, image_size: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    if whole or kind == "mobilesam":
        from rsisrefiner_jax.models.registry import abstract_variables

        variables = abstract_variables(model_of(kind, sizes, image_size))
        for path, leaf in flatten_dict(variables["params"], sep="/").items():
            yield path, tuple(leaf.shape)
        for path, leaf in flatten_dict(variables["batch_stats"], sep="/").items():
            yield f"batch_stats/{path}", tuple(leaf.shape)
        return
    for rule in table:
        for i in range(sizes.depth) if "{i}" in rule.target else [0]:
            assert rule.shape is not None
            yield rule.target.format(i=i), rule.shape


def _find(table: Iterable[rules.Rule], key: str) -> tuple[rules.Rule | None, str]:
    for rule in table:
        if path := rules.rename(key, rule.source, rule.target):
            return rule, path
    return None, ""


def _source_name(table: Iterable[rules.Rule], path: str) -> str:
    """The PyTorch key that a target path is made from."""
    names = (rules.rename(path, rule.target, rule.source) for rule in table)
    return next(filter(None, names), path)


def nested(arrays: dict[str, np.ndarray], collection: str) -> dict[str, Any]:
    """The nested tree of one collection, `params` or `batch_stats`, in C order."""
    stats = "batch_stats/"
    chosen = {
        path.removeprefix(stats): np.ascontiguousarray(array)
        for path, array in arrays.items()
        if path.startswith(stats) == (collection == "batch_stats")
    }
    return unflatten_dict(chosen, sep="/")
