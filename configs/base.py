"""The paper: RS-ISRefiner ViT-B at 448 px on iSAID + Potsdam (section IV-B).

60 epochs of 30 000 samples, batch 16, Adam 5e-5 divided by 10 after epochs 10 and 50. The
backbone, its auxiliary patch embedding and SimpleFPN come frozen from MFP's checkpoint:

    python -m convert_weights MFP.pth mfp_vitb.npz
    python train.py --config configs/base.py --set model.backbone_weights=mfp_vitb.npz

97.3 M parameters stay frozen, 41.5 M are trained.
"""

from rsisrefiner_jax.config import Config

config = Config(name="base")
