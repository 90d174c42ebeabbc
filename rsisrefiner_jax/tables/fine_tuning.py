"""Tables III and V: ways to fine-tune pretrained weights (paper section IV-C).

The rows but the last are a pretrained click model as it stands: MFP where the base is on a ViT,
MobileSAM where it is on TinyViT. That is what the paper's figures are of: its full fine-tuning has
MFP's results and MFP's 98.66 M parameters, and its LoRA trains nothing else. `pretrained` names
the checkpoint that was converted from it; None: model.backbone_weights holds all of it.
"""

import zipfile
from dataclasses import replace

from rsisrefiner_jax.config import BASELINES, PRETRAINED, Config
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.tables.ablations import Rows, ablated

RANK = 16  # of LoRA
WHOLE = {"vit": BASELINES["mfp"] | {"network": "mfp"}, "tiny_vit": {"network": "sam"}}


def table_3(base: Config, pretrained: str | None = None) -> Rows:
    """Table III: what the ways to fine-tune reach.

    NoC85 NoC90        | iSAID     | SandBar    | NWPU      | LoveDA Urban | WHUBuilding
    pretrained weights | 5.40 8.51 | 8.69 13.24 | 4.91 7.39 | 7.66 10.46   | 6.38 9.97
    full fine-tuning   | 3.46 6.62 | 7.91 12.97 | 4.56 7.30 | 8.79 11.62   | 5.63 9.28
    LoRA               | 3.52 6.64 | 8.14 13.33 | 4.73 7.41 | 8.42 11.18   | 5.23 8.74
    ours               | 3.38 6.51 | 7.67 12.90 | 3.83 6.56 | 7.62 10.19   | 5.03 8.42
    """
    parts = PRETRAINED[base.model.backbone]
    if pretrained is None:
        needs_all_in_backbone_weights(base, parts)
    whole = ablated(base, **WHOLE[base.model.backbone], sam_mask=False, frozen=parts)
    whole = replace(whole, train=replace(whole.train, init_from=pretrained))
    return {
        "pretrained weights": replace(whole, train=replace(whole.train, epochs=0)),
        "full fine-tuning": ablated(whole, frozen=()),
        "LoRA": ablated(whole, lora_rank=RANK),
        "ours": base,
    }


def table_5(base: Config, pretrained: str | None = None) -> Rows:
    """Table V: what the ways to fine-tune cost.

    trainable GFLOP ms | 448 px, ViT-B
    pretrained weights | 0 181.3 35.4
    full fine-tuning   | 98.66 181.29 34.2
    LoRA               | 1.1 181.3 39.8
    ours               | 40.11 212.49 48.2
    """
    return table_3(base, pretrained)


def needs_all_in_backbone_weights(base: Config, parts: tuple[str, ...]) -> None:
    """Raises UserError: model.backbone_weights does not hold the whole pretrained click model."""
    path, held = base.model.backbone_weights, set()
    if path is not None and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            held = {name.split("/")[0] for name in archive.namelist()}
    absent = [name for name in parts if name not in held]
    whose = {"vit": "MFP", "tiny_vit": "MobileSAM"}[base.model.backbone]
    require(
        not absent,
        f"tables 3 and 5 on {base.name} fine-tune {whose}, of which "
        f"model.backbone_weights={path} lacks {', '.join(absent)}; name the directory that "
        "`python -m convert_weights` made of its whole checkpoint with --pretrained",
    )
