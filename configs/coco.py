"""The paper's network on your own pictures, with MFP's frozen backbone.

    python train.py --config configs/coco.py --set model.backbone_weights=mfp_vitb.npz \\
        'data.train=[coco:IMAGES_DIR,ANNOTATIONS.json]'

Everything else as in configs/base.py; a fifth of the samples an epoch, half the epochs.
"""

from rsisrefiner_jax.config import Config, Data, Optim, Train

config = Config(
    name="coco",
    data=Data(train=("coco:images,train.json",), eval=("coco:images,val.json",)),
    optim=Optim(milestones=(20, 26)),
    train=Train(epochs=30, samples_per_epoch=6_000),
)
