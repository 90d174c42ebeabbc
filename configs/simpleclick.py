"""SimpleClick ViT-B, wholly trained on the paper's data by its schedule.

    python train.py --config configs/simpleclick.py --set model.backbone_weights=mae_vitb.npz

or from the authors' weights:

    python -m convert_weights SimpleClick.pth simpleclick/
    python train.py --config configs/simpleclick.py --set train.init_from=simpleclick

97.1 M parameters; the published 98.0 M count some that no layer reads.
"""

from rsisrefiner_jax.config import BASELINES, Config, Model

model = Model(network="simpleclick", frozen=(), **BASELINES["simpleclick"])
config = Config(name="simpleclick", model=model)
