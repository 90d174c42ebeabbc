"""Tables III and V in minutes a row on two CPU cores: ways to fine-tune MobileSAM.

    python -m convert_weights ENCODER.safetensors DECODER.safetensors mobilesam.npz

and then as configs/tables_vits.py says.
"""

import dataclasses

from rsisrefiner_jax.config import (
    Augment,
    Clicks,
    Config,
    Data,
    Eval,
    Model,
    Optim,
    Parallel,
    Train,
)
from rsisrefiner_jax.protocol import PRESETS

config = Config(
    name="tables_mobilesam",
    note="MobileSAM frozen underneath; the picture is encoded once a crop",
    model=Model(
        backbone="tiny_vit",
        image_size=160,
        width=128,
        heads=4,
        adapter_heads=4,
        mask_channels=(16, 32, 64, 128),
        sam_mask=True,
        first_pass="single",
        backbone_weights="mobilesam.npz",
        frozen=("backbone", "prompt_encoder", "mask_decoder"),
    ),
    data=Data(
        train=("coco:images,instances.json",),
        min_object_area=48,
        threads=1,
        augment=Augment(scale=(0.5, 2.0)),
    ),
    # Two clicks on every sample, both with a loss: a smaller program to compile than the paper's.
    clicks=Clicks(iterations=(0.0, 1.0), gradient="every"),
    # Pretrained weights, where they are trained, at a tenth of the rate.
    optim=Optim(lr=5e-4, milestones=(4,), warmup_steps=5, clip_norm=1.0, backbone_lr_scale=0.1),
    train=Train(
        batch_size=4,
        epochs=5,
        samples_per_epoch=32,
        checkpoint_every=20,
        preview_every=40,
        log_every=5,
    ),
    parallel=Parallel("shard_map"),  # compiles the step of one click once, pmap twice
    eval=Eval(limit=100),
    protocol=dataclasses.replace(PRESETS["paper"], max_clicks=6, flip=False),
)
