"""The adapters on a frozen, plain ViT-S/16: real tiles in, an unseen test set out; CPU hours.

Widths follow the backbone's 384 channels. A plain ViT brings no auxiliary patch embedding and no
SimpleFPN, so these two are trained; the backbone itself stays frozen.

    python -m convert_weights VITS16.safetensors vits16.npz --image-size 448
    python train.py --config configs/vits_real.py --set model.backbone_weights=vits16.npz \\
        'data.train=[coco:IMAGES_DIR,ANNOTATIONS.json]'
"""

from rsisrefiner_jax.config import Config, Data, Model, Optim, Train

config = Config(
    name="vits_real",
    note="a frozen plain ViT-S; its auxiliary patch embedding and SimpleFPN are trained",
    model=Model(
        image_size=160,
        width=384,
        depth=12,
        heads=6,
        adapter_heads=8,
        fpn_channels=(64, 96, 128, 192),
        extractor_channels=(24, 48, 96, 128),
        mask_channels=(32, 64, 96, 128),
        first_pass="single",
        frozen=("backbone",),
    ),
    data=Data(train=("coco:images,instances.json",), min_object_area=100),
    optim=Optim(lr=3e-4, milestones=(5,), warmup_steps=40, clip_norm=1.0),
    train=Train(
        batch_size=8,
        epochs=7,
        samples_per_epoch=528,
        checkpoint_every=50,
        preview_every=50,
        log_every=5,
        save_untrained=True,
    ),
)
