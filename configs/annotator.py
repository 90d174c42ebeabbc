"""The small network that the annotator carries, trained on generated scenes alone in a CPU hour.

No image licence clings to it. Built like the quickstart's, with a larger crop and more samples.

    python train.py --config configs/annotator.py
"""

import dataclasses

from configs.quickstart import config as quickstart
from rsisrefiner_jax.config import Augment, Config, Optim, Train

config = Config(
    name="annotator",
    note="trained on generated scenes alone; no pretrained backbone, everything is trained",
    model=dataclasses.replace(quickstart.model, image_size=160),
    data=dataclasses.replace(quickstart.data, augment=Augment(scale=(0.6, 2.0))),
    optim=Optim(lr=1e-3, milestones=(6, 7), warmup_steps=40, clip_norm=1.0),
    train=Train(
        batch_size=8, epochs=8, samples_per_epoch=4000, checkpoint_every=250, preview_every=500
    ),
    eval=quickstart.eval,
    protocol=quickstart.protocol,
)
