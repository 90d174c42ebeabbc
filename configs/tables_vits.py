"""Tables VI to IX in minutes a row on two CPU cores: the refiner on a frozen plain ViT-S/16.

    python -m convert_weights VITS16.safetensors vits16.npz --image-size 160
    python -m rsisrefiner_jax.tables 3 5 6 7 8 9 --out runs/tables \\
        --base configs/tables_mobilesam.py configs/tables_vits.py \\
        --data coco:IMAGES_DIR,ANNOTATIONS.json --eval-data coco:IMAGES_DIR,UNSEEN.json

Rows have one budget, too small for good masks: it tells which differences show early.
"""

import dataclasses

from rsisrefiner_jax.config import Clicks, Config, Data, Eval, Model, Optim, Parallel, Train
from rsisrefiner_jax.protocol import PRESETS

config = Config(
    name="tables_vits",
    note="a frozen plain ViT-S; its auxiliary patch embedding and SimpleFPN are trained",
    model=Model(
        image_size=96,
        width=384,
        depth=12,
        heads=6,
        adapter_heads=8,
        fpn_channels=(32, 48, 64, 96),
        extractor_channels=(16, 24, 48, 64),
        mask_channels=(16, 32, 48, 64),
        first_pass="single",
        backbone_weights="vits16.npz",
        frozen=("backbone",),
    ),
    data=Data(train=("coco:images,instances.json",), min_object_area=64, threads=1),
    # Two clicks on every sample, both with a loss: a smaller program to compile than the paper's.
    clicks=Clicks(iterations=(0.0, 1.0), gradient="every"),
    optim=Optim(lr=4e-4, milestones=(4,), warmup_steps=5, clip_norm=1.0),
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
    protocol=dataclasses.replace(PRESETS["paper"], max_clicks=6, flip=False, zoom_min_crop=48),
)
