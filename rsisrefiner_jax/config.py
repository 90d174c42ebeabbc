"""Typed, immutable configuration: dataclasses, a Python file and `--set a.b=value`.

    config = load("configs/base.py", ["model.theta=0.5", "optim.lr=1e-4"])

Nothing here imports jax, so that `--help` answers at once.
"""

import dataclasses
import json
import runpy
from collections.abc import Sequence
from typing import Any, Literal

from rsisrefiner_jax import config_files
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.fields import build, override
from rsisrefiner_jax.protocol import PRESETS, Protocol

# What the networks that RS-ISRefiner is compared with have of their own.
BASELINES: dict[str, dict[str, Any]] = {
    "mfp": {"backbone": "vit", "attention": "windowed", "modulation": "original"},
    "simpleclick": {"backbone": "vit", "attention": "windowed", "modulation": "none"},
}

# By backbone: the modules that pretrained weights bring and model.frozen may name.
PRETRAINED = {
    "vit": ("backbone", "patch_embed_coords", "neck", "head"),  # head: MFP's or SimpleClick's
    "tiny_vit": ("backbone", "prompt_encoder", "mask_decoder"),
}


@dataclasses.dataclass(frozen=True)
class Model:
    """What the network is (paper section III). Widths are channels."""

    # sam: Segment Anything as it is; mfp, simpleclick: those of the papers, with their own heads.
    network: Literal["refiner", "sam", "mfp", "simpleclick"] = "refiner"
    # tiny_vit: MobileSAM's image encoder, which sees the picture alone.
    backbone: Literal["vit", "tiny_vit"] = "vit"
    image_size: int = 448  # side of the square input, a multiple of 2 * patch_size
    patch_size: int = 16  # pixels; no other can be chosen
    width: int = 768  # of a token
    depth: int = 12  # blocks of the backbone
    heads: int = 12  # of their attention
    # windowed: 2x2 windows except in a few blocks, as MFP and SimpleClick were trained.
    attention: Literal["global", "windowed"] = "global"
    early_blocks: tuple[int, int] = (2, 3)  # 1-based; the paper's F_ViT^1 and F_ViT^2
    # Of SimpleFPN, from a quarter of the side of the input to a 32nd.
    fpn_channels: tuple[int, int, int, int] = (128, 256, 512, 1024)
    # Of the image feature extractor, from half of the side to a 16th.
    extractor_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    # Of what reads the previous mask, likewise.
    mask_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    adapter_heads: int = 8  # of the attention in fusions and decoder
    sam_mask: bool = False  # SAM's decoder lies underneath, its masks are an input (tiny_vit)
    # released: the authors' code as it runs (drops the dense fusion, scrambles axes).
    decoder: Literal["paper", "released"] = "paper"
    # Ablations.
    # Of the backbone's two early features (equation 1, Table VIII).
    early_fusion: Literal["gated", "fixed", "first", "second"] = "gated"
    # Weight of the extractor's features where they are fused (equations 2 and 3, Table VII).
    theta: Literal["learnable"] | float = "learnable"
    f_vit: bool = True  # whether the previous mask is fused with the backbone's features (Table VI)
    f_hq: bool = True  # whether the extractor's features are added to the pyramid's (Table VI)
    # Of the previous mask around clicks (equations 8 to 11, Table IX); original: MFP's.
    modulation: Literal["improved", "original", "none"] = "improved"
    r_max: float = 100.0  # its radius in pixels where there is no opposite click (equation 8)
    r_min: float = 10.0  # and what it is at least
    # Clicks.
    click_radius: int = 5  # pixels; of the disk that a click is drawn as
    click_reach: float = 60.0  # pixels; of the wide click maps (tiny_vit)
    # double: an empty previous mask is first predicted, then refined (the reference's rule).
    first_pass: Literal["double", "single"] = "double"
    first_pass_gradient: bool = True  # goes through the first of two passes, too
    # Weights.
    channel_order: Literal["rgb", "bgr"] = "rgb"  # of the pictures that the weights know
    backbone_weights: str | None = None  # .npz written by `python -m convert_weights`
    # Pretrained modules that are not trained.
    frozen: tuple[str, ...] = ("backbone", "patch_embed_coords", "neck")
    lora_rank: int = 0  # of trained updates to the frozen backbone's attention; 0: none
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the computation; parameters stay fp32
    # Of float32 products. default: TF32 on recent GPUs, bfloat16 on TPUs; highest: float32.
    matmul_precision: Literal["default", "high", "highest"] = "default"
    # Of the plain ViT on GPUs. cudnn: flash attention, in bfloat16 only.
    attention_kernel: Literal["xla", "cudnn"] = "xla"
    # Of frozen kernels in training. bfloat16 halves their memory and changes no result where the
    # computation is in bfloat16, too.
    frozen_dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False  # a gradient computes activations again: less memory, about a third slower

    def __post_init__(self) -> None:
        require(
            self.image_size % (2 * self.patch_size) == 0,
            f"model.image_size={self.image_size} is not a multiple of "
            f"{2 * self.patch_size} (2 * model.patch_size)",
        )
        require(
            self.width % self.heads == 0 and self.width % self.adapter_heads == 0,
            f"model.width={self.width} is not a multiple of model.heads and model.adapter_heads",
        )
        require(
            all(1 <= block <= self.depth for block in self.early_blocks),
            f"model.early_blocks={self.early_blocks} lie outside 1..{self.depth} (model.depth)",
        )
        require(
            self.patch_size == 16,
            f"model.patch_size={self.patch_size}: the extractor and the previous-mask encoder "
            "work at a 16th of the input, so that patches must have 16 pixels",
        )
        for name, asked in (("network=sam", self.network == "sam"), ("sam_mask", self.sam_mask)):
            require(
                not asked or self.backbone == "tiny_vit",
                f"model.{name} has model.backbone=tiny_vit",
            )
        own = BASELINES.get(self.network, {})
        require(
            all(getattr(self, name) == value for name, value in own.items()),
            f"model.network={self.network} has "
            + ", ".join(f"model.{name}={value}" for name, value in own.items()),
        )
        known = PRETRAINED[self.backbone]
        require(
            all(name in known for name in self.frozen),
            f"model.frozen={self.frozen} may name only {', '.join(known)}",
        )
        for name, narrow in (
            ("frozen_dtype", self.frozen_dtype == "bfloat16"),
            ("attention_kernel", self.attention_kernel == "cudnn"),
        ):
            require(
                not narrow or self.dtype == "bfloat16",
                f"model.{name}={getattr(self, name)} needs model.dtype=bfloat16",
            )
        require(
            self.frozen_dtype == "float32" or not self.lora_rank,
            "model.frozen_dtype=bfloat16 would round what model.lora_rank adds to; leave it out",
        )
        require(self.lora_rank >= 0, f"model.lora_rank={self.lora_rank} must not be negative")
        require(
            not self.lora_rank or "backbone" in self.frozen,
            f"model.lora_rank={self.lora_rank} updates a frozen backbone; name it in model.frozen",
        )


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes of a training picture, in this order (spec of RITM and MFP)."""

    scale: tuple[float, float] = (0.75, 1.25)  # factor of the size
    # The crop lies about an object, whose longer side takes such a share of it (drawn on a log
    # scale) as far as `scale` allows and the picture fills the crop; none: anywhere.
    zoom: tuple[float, float] | None = None
    aspect: float = 1.0  # with zoom: the ratio of the sides changes by at most this factor
    flip: float = 0.5  # probability
    rotate90: float = 0.5  # probability of quarter turns, none among them
    shift_rotate: float = 0.75  # probability of the next two
    shift: float = 0.03  # of the side, each way
    degrees: float = 3.0  # of rotation, each way
    brightness_contrast: float = 0.75  # probability of the next two
    brightness: tuple[float, float] = (-0.25, 0.25)  # added; 1 is white
    contrast: tuple[float, float] = (-0.15, 0.4)  # added to a factor of 1
    rgb_shift: float = 0.75  # probability of the next
    rgb_shift_limit: float = 10.0  # added to each channel of 0..255, each way


@dataclasses.dataclass(frozen=True)
class Data:
    """Where scenes come from and how a training sample is drawn from one."""

    train: tuple[str, ...] = ("isaid:train", "potsdam:train")  # data SPECs
    weights: tuple[float, ...] = ()  # sampling weight of each; () = by number of scenes
    eval: tuple[str, ...] = ("isaid:val",)  # data SPECs
    # Of raster files, in training, evaluation and clicking (data/stretch.py): what is shown as red,
    # green and blue; 1 is the first, () lets the file say.
    bands: tuple[int, ...] = ()
    stretch: tuple[float, float] = (2.0, 98.0)  # percentiles that become 0 and 255
    stretch_8bit: bool | None = False  # also of 8-bit files; none: of dark ones
    fill: tuple[float, ...] | None = None  # no data that no file declares; none: what looks like it
    threads: int = 2  # that make samples, in each process
    workers: int = 0  # processes; 0 = threads only, right on small machines
    augment: Augment = Augment()
    min_object_area: int = 256  # pixels after augmentation
    targets: int = 1  # of every training picture
    mosaic: float = 0.0  # probability of four or nine pictures side by side as one
    merge_objects: float = 0.15  # probability of a target made of two objects
    hull_objects: float = 0.0  # probability of the convex hull of one to six neighbours as target
    loose_objects: float = 0.0  # probability of an outline with few corners and a margin
    erode_objects: float = 0.9  # probability of eroding before the first click is drawn
    first_click_k: float = 1.7  # first click: distance > max / k

    def __post_init__(self) -> None:
        require(
            self.weights == () or len(self.weights) == len(self.train),
            f"data.weights has {len(self.weights)} entries for {len(self.train)} in data.train",
        )


@dataclasses.dataclass(frozen=True)
class Clicks:
    """The simulated annotator of a training step."""

    max_clicks: int = 24  # slots that the network is compiled for
    iterations: tuple[float, ...] = (1.0, 0.8, 0.64)  # weights of 1, 2, 3 ... iterations
    gradient: Literal["last", "every"] = "last"  # which iterations have a loss; last: the paper
    pred_thr: float = 0.49  # a pixel counts as object when its probability is greater
    inner_k: float = 2.0  # next click: distance > max / k

    def __post_init__(self) -> None:
        require(
            1 <= len(self.iterations) < self.max_clicks,
            "clicks.iterations must hold at least one weight and fewer than clicks.max_clicks",
        )


@dataclasses.dataclass(frozen=True)
class Loss:
    """Normalised focal loss (RITM)."""

    alpha: float = 0.5  # weight of object pixels; background has 1 - alpha
    gamma: float = 2.0  # exponent: how much more pixels count that are wrong


@dataclasses.dataclass(frozen=True)
class Optim:
    """How it learns (paper section IV-B)."""

    lr: float = 5e-5  # learning rate of the first epoch
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    eps: float = 1e-8  # of Adam
    # steps: the paper's; cosine: half a wave from `lr` down to `lr_end` of it at the last step.
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = (10, 50)  # epochs after which the rate is multiplied by decay
    decay: float = 0.1  # see milestones
    lr_end: float = 0.0  # share of `lr`, see schedule
    warmup_steps: int = 0  # in which the rate rises from 0 to what it is otherwise
    clip_norm: float | None = None  # largest norm of a gradient; none: any
    weight_decay: float = 0.0  # decoupled, as in AdamW
    backbone_lr_scale: float = 1.0  # group "backbone" (pretrained modules that are not frozen)
    adapter_lr_scale: float = 1.0  # group "adapter" (everything else)
    accumulate: int = 1  # gradients whose mean is one update; a batch counts that often
    # Decay of a moving average of the weights, 0.999 or so, which is what is validated, evaluated
    # and clicked; 0: none.
    ema: float = 0.0

    def __post_init__(self) -> None:
        require(self.accumulate >= 1, f"optim.accumulate={self.accumulate} must be at least 1")
        require(0 <= self.ema < 1, f"optim.ema={self.ema} must be at least 0 and less than 1")


@dataclasses.dataclass(frozen=True)
class Train:
    """How long, and what is kept."""

    batch_size: int = 16  # over all devices
    epochs: int = 60  # rounds of samples_per_epoch
    samples_per_epoch: int = 30_000  # drawn at random
    log_every: int = 20  # steps
    checkpoint_every: int = 500  # steps
    preview_every: int = 500  # steps
    keep: int = 3  # newest checkpoints
    save_untrained: bool = False  # also the first weights, to compare with
    # A checkpoint whose weights a new run begins with: converted, exported, or another run's.
    init_from: str | None = None
    max_steps: int | None = None  # a run ends there, its schedule unchanged; none: after `epochs`
    deterministic: bool = False  # GPUs, too, compute the same bits again; slower
    # Beside metrics.jsonl, TensorBoard's event files; none: where tensorboardX is installed.
    tensorboard: bool | None = None
    csv: bool = False  # metrics.csv, too
    wandb: str | None = None  # project of Weights & Biases; needs the extra [wandb]

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"train.epochs={self.epochs} must not be negative")
        every = ("log_every", "checkpoint_every", "preview_every")
        for name in ("batch_size", "samples_per_epoch", *every, "keep", "max_steps"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"train.{name}={value} must be at least 1")

    @property
    def steps_per_epoch(self) -> int:
        return max(self.samples_per_epoch // self.batch_size, 1)

    @property
    def steps(self) -> int:
        """All steps of the schedule."""
        return self.epochs * self.steps_per_epoch

    @property
    def last_step(self) -> int:
        """The step that ends a run."""
        return min(self.steps, self.steps if self.max_steps is None else self.max_steps)

    def is_due(self, every: int | None, step: int) -> bool:
        """Whether what comes every so many steps, and at the end, comes after this one.

        every: None: never.
        """
        return every is not None and (step % every == 0 or step == self.last_step)


@dataclasses.dataclass(frozen=True)
class Validate:
    """Evaluation of some objects during training, under `protocol`; the best weights are kept."""

    every: int | None = None  # steps, and at the end; none: never
    data: tuple[str, ...] = ()  # data SPECs; (): data.eval
    limit: int = 50  # objects of each data set
    target: float = 0.9  # the least clicks to this IoU are best, then the highest curve
    patience: int | None = None  # validations without a better one that end a run; none: any

    def __post_init__(self) -> None:
        for name in ("every", "limit", "patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"validate.{name}={value} must be at least 1")
        require(0 < self.target <= 1, f"validate.target={self.target} must lie in 0..1")


@dataclasses.dataclass(frozen=True)
class Parallel:
    """How a step is spread over devices."""

    # auto: pmap within one process, shard_map over several.
    backend: Literal["auto", "pmap", "shard_map"] = "auto"
    # Seconds that processes wait for one that is gone or at a standstill before all of them end.
    patience: float = 45.0
    sync_batch_norm: bool = True  # statistics over all devices, as if there were one

    def __post_init__(self) -> None:
        require(self.patience > 0, f"parallel.patience={self.patience} must be positive")


@dataclasses.dataclass(frozen=True)
class Eval:
    """How an evaluation runs. None of it changes a result."""

    batch_size: int = 8  # objects in flight on each device
    rows: int | None = None  # objects in one forward pass; None = 1 on CPU, else batch_size
    limit: int | None = None  # objects per data set; None = all
    seeds: int = 1  # repetitions, where protocol.click_strategy draws at random
    panels: int = 4  # objects of each data set that the report shows click by click

    def __post_init__(self) -> None:
        for name in ("batch_size", "rows", "limit", "seeds"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"eval.{name}={value} must be at least 1")
        require(self.panels >= 0, f"eval.panels={self.panels} must not be negative")


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "base"  # of the run and its default folder, runs/NAME
    note: str = ""  # said at the start of a run
    seed: int = 0  # of weights, data and clicks
    model: Model = Model()
    data: Data = Data()
    clicks: Clicks = Clicks()
    loss: Loss = Loss()
    optim: Optim = Optim()
    train: Train = Train()
    validate: Validate = Validate()
    parallel: Parallel = Parallel()
    eval: Eval = Eval()
    protocol: Protocol = PRESETS["paper"]


def load(path: str, overrides: Sequence[str] = ()) -> Config:
    """Runs the Python file at `path`, takes its `config` and applies `a.b=value` overrides.

    path: or the name of one that comes with the package, as base.

    Raises:
        UserError: no such file, no `config` in it, or a field or value that does not fit.
    """
    config = runpy.run_path(str(config_files.find(path))).get("config")
    if not isinstance(config, Config):
        raise UserError(f"--config {path}: the file must define `config = Config(...)`")
    return apply_overrides(config, overrides)


def apply_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """`config` with every `a.b=value` applied, the last one counting. Raises UserError."""
    values = dataclasses.asdict(config)
    for item in overrides:
        key, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"--set {item}: expected field=value, as in optim.lr=1e-4")
        override(values, Config, key.split("."), value, item)
    return build(Config, values, "config")  # checked once all are in place


def to_json(config: Config) -> str:
    """The whole configuration as JSON text; `from_json` restores it exactly."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(text: str) -> Config:
    """The configuration in JSON text. Raises UserError when a field is unknown or misfits."""
    values = json.loads(text)
    # Earlier versions had the order of channels in the protocol.
    order = values.get("protocol", {}).pop("channel_order", None)
    if order is not None:
        values.setdefault("model", {}).setdefault("channel_order", order)
    return build(Config, values, "config")
