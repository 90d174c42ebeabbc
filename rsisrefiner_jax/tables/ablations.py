"""Tables VI to IX: what each part of the network brings (paper section IV-D).

Each function gives the rows of a table for a base configuration, by name; the last is the base
itself, which the others are held against. The numbers in a docstring are the paper's (ViT-B,
448 px, trained on iSAID and Potsdam) and are read from there.
"""

from dataclasses import replace

from rsisrefiner_jax.config import Config
from rsisrefiner_jax.errors import require

Rows = dict[str, Config]


def table_6(base: Config) -> Rows:
    """Table VI: what F_ViT and F_HQ bring.

    NoC80 NoC90    | iSAID     | SandBar    | WHUBuilding
    neither        | 3.03 8.20 | 6.43 14.16 | 3.91 9.12
    F_ViT          | 2.79 7.58 | 6.12 13.95 | 3.77 8.90
    F_HQ           | 2.29 6.74 | 4.84 13.24 | 3.68 8.49
    F_ViT and F_HQ | 2.25 6.51 | 4.54 12.90 | 3.65 8.42
    """
    needs_fusion(base, 6)
    require(
        base.model.decoder == "paper",
        f"table 6 on {base.name}: model.decoder=released does not read F_ViT; set it to paper",
    )
    return {
        "neither": ablated(base, f_vit=False, f_hq=False),
        "F_ViT": ablated(base, f_hq=False),
        "F_HQ": ablated(base, f_vit=False),
        "F_ViT and F_HQ": base,
    }


def table_7(base: Config) -> Rows:
    """Table VII: the weight theta of the image's share in the fusion.

    NoC80 NoC90     | iSAID     | SandBar    | WHUBuilding
    theta = 1       | 2.28 6.87 | 5.42 13.50 | 3.70 8.70
    theta = 0.5     | 2.36 6.79 | 4.90 13.42 | 3.97 9.00
    learnable theta | 2.25 6.51 | 4.54 12.90 | 3.65 8.42
    """
    needs_fusion(base, 7)
    return {
        "theta = 1": ablated(base, theta=1.0),
        "theta = 0.5": ablated(base, theta=0.5),
        "learnable theta": base,
    }


def table_8(base: Config) -> Rows:
    """Table VIII: how two early features of the ViT become one.

    NoC80 NoC90  | iSAID     | SandBar    | WHUBuilding
    only F_ViT^1 | 2.36 7.19 | 5.17 13.54 | 3.95 8.83
    only F_ViT^2 | 2.32 6.63 | 4.93 13.21 | 3.85 9.08
    fixed fusion | 2.29 6.97 | 5.06 13.48 | 3.74 8.56
    gated fusion | 2.25 6.51 | 4.54 12.90 | 3.65 8.42
    """
    needs_fusion(base, 8)
    return {
        "only F_ViT^1": ablated(base, early_fusion="first"),
        "only F_ViT^2": ablated(base, early_fusion="second"),
        "fixed fusion": ablated(base, early_fusion="fixed"),
        "gated fusion": base,
    }


def table_9(base: Config) -> Rows:
    """Table IX: the modulation of the previous mask, MFP's and the paper's.

    NoC80 NoC90 | iSAID     | SandBar    | WHUBuilding
    original    | 2.24 6.70 | 4.79 13.21 | 3.94 9.11
    ours        | 2.25 6.51 | 4.54 12.90 | 3.65 8.42
    """
    return {"original": ablated(base, modulation="original"), "ours": base}


def ablated(base: Config, **changes: object) -> Config:
    """The base with other fields of the model; what it learns from and how stays."""
    return replace(base, model=replace(base.model, **changes))  # type: ignore[arg-type]


def needs_fusion(base: Config, number: int) -> None:
    """Raises UserError: the base lacks what the table switches off."""
    require(
        base.model.backbone == "vit",
        f"table {number} on {base.name}: model.backbone=tiny_vit has no Image Feature Extractor "
        "and no fusions (section III-C) to change; name a --base on a ViT, as configs/vits_real.py",
    )
