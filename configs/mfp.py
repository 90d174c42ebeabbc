"""MFP ViT-B, wholly trained on the paper's data by its schedule (Table III compares with it).

    python train.py --config configs/mfp.py --set model.backbone_weights=mae_vitb.npz

or from the authors' weights:

    python -m convert_weights MFP.pth mfp/
    python train.py --config configs/mfp.py --set train.init_from=mfp

97.7 M parameters; the published 98.7 M count some that no layer reads.
"""

from rsisrefiner_jax.config import BASELINES, Config, Model

config = Config(name="mfp", model=Model(network="mfp", frozen=(), **BASELINES["mfp"]))
