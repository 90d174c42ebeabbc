"""A small network on generated scenes: minutes on two CPU cores, nothing to download.

python train.py --config configs/quickstart.py
python eval.py --checkpoint runs/quickstart --out runs/quickstart/eval
"""

import dataclasses

from rsisrefiner_jax.config import Augment, Config, Data, Eval, Model, Optim, Train
from rsisrefiner_jax.protocol import PRESETS

config = Config(
    name="quickstart",
    note="no pretrained backbone is at hand, so this trains everything, the small ViT included",
    model=Model(
        image_size=128,
        width=96,
        depth=4,
        heads=4,
        adapter_heads=4,
        fpn_channels=(32, 48, 64, 96),
        extractor_channels=(16, 32, 48, 64),
        mask_channels=(16, 32, 48, 64),
        first_pass="single",  # the reference's double pass would be compiled besides
        frozen=(),
    ),
    data=Data(
        train=("synthetic:train@256",),
        eval=("synthetic:test@256",),
        augment=Augment(scale=(0.75, 2.0)),
        min_object_area=100,
    ),
    optim=Optim(lr=1e-3, milestones=(8, 10), warmup_steps=20, clip_norm=1.0),
    train=Train(
        batch_size=8,
        epochs=11,
        samples_per_epoch=900,
        checkpoint_every=150,
        preview_every=150,
        save_untrained=True,
    ),
    eval=Eval(limit=40),
    # A small network zooms in more; objects of a few pixels are left out.
    protocol=dataclasses.replace(PRESETS["paper"], zoom_min_crop=48, min_area=256),
)
