"""RS-ISRefiner on MobileSAM's frozen encoder and decoder, trained on pictures with open licences.

    python -m convert_weights ENCODER.safetensors DECODER.safetensors mobilesam.npz
    python train.py --config configs/box.py --data coco:fair_oam/images,fair_oam/instances.json \\
        coco:dubai/images,dubai/instances.json synthetic:train@512 \\
        coco:ucmerced,rsisrefiner_jax/data/annotations/ucmerced.json

fair_oam: OpenAerialMap tiles (CC BY 4.0) with OpenStreetMap outlines (ODbL). dubai: CC0. ucmerced:
public-domain pictures of the USGS, outlined for this project (CC0; the file lies in the package).
"""

from rsisrefiner_jax.config import Augment, Clicks, Config, Data, Model, Optim, Train

config = Config(
    name="box",
    note="MobileSAM frozen underneath; the picture is encoded once a crop",
    model=Model(
        backbone="tiny_vit",
        image_size=512,  # of training; it takes others as well, the packaged one is used at 640
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
        train=(
            "coco:fair_oam/images,fair_oam/instances.json",
            "coco:dubai/images,dubai/instances.json",
            "synthetic:train@512",
            "coco:ucmerced,rsisrefiner_jax/data/annotations/ucmerced.json",
        ),
        weights=(0.22, 0.2, 0.23, 0.35),
        min_object_area=48,
        targets=4,
        mosaic=0.5,
        merge_objects=0.03,
        hull_objects=0.08,
        loose_objects=0.3,
        threads=1,
        augment=Augment(scale=(0.25, 4.0), zoom=(0.03, 0.8), aspect=1.5),
    ),
    # One to twelve clicks: first clicks need most samples, the last objects many clicks.
    clicks=Clicks(iterations=(2, 1, 1, 0, 1, 0, 0, 0.8, 0, 0, 0, 0.5), gradient="every"),
    optim=Optim(lr=5e-4, milestones=(8, 11), decay=0.3, warmup_steps=15, clip_norm=1.0),
    train=Train(
        batch_size=2,  # pictures, of four targets each
        epochs=12,
        samples_per_epoch=200,
        checkpoint_every=25,
        preview_every=50,
        log_every=2,
    ),
)
