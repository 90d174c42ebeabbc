"""Which network a checkpoint holds, from the names of its tensors."""

from convert_weights import mobilesam
from convert_weights.source import Source
from rsisrefiner_jax.errors import UserError, require

NAMES = {
    "rsisrefiner": "RS-ISRefiner",
    "mfp": "MFP",
    "simpleclick": "SimpleClick",
    "mobilesam": "MobileSAM",
    "vit": "a plain ViT",
}
OTHERS = {  # how the keys of networks begin that have no place here
    "feature_extractor.": "a convolutional network of RITM's family",
    "image_encoder.blocks.": "Segment Anything on a ViT",
    "image_encoder.trunk.": "Segment Anything 2",
}
EXPECTED = f"expected {', '.join(NAMES.values())}"


def recognise(source: Source) -> str:
    """The kind of a checkpoint, from its keys. Raises UserError."""
    heads = {key.split(".")[0] for key in source.tensors}
    for start, name in OTHERS.items():
        require(
            not any(key.startswith(start) for key in source.tensors),
            f"{source.path} holds {name}, for which there is no conversion; {EXPECTED}",
        )
    if mobilesam.is_mobilesam(source.tensors):
        return "mobilesam"
    if heads & {"click_refiner", "gatefusion"}:
        return "rsisrefiner"
    if "backbone" in heads and heads & {"neck", "patch_embed_coords"}:
        coords = source.tensors.get("patch_embed_coords.proj.weight")
        return "simpleclick" if coords is not None and coords.shape[1:2] == (3,) else "mfp"
    if heads & {"patch_embed", "blocks"}:
        return "vit"
    raise UserError(
        f"{source.path} holds no network that is known here (its keys begin with "
        f"{', '.join(sorted(heads)[:5])}); {EXPECTED}"
    )


def check_kind(source: Source, kind: str) -> None:
    """Raises UserError when `source` is known to hold another kind of network."""
    try:
        found = recognise(source)
    except UserError:  # the keys that do not fit say more
        return
    require(
        found == kind,
        f"{source.path} holds {NAMES[found]} and not {NAMES[kind]}; use --kind {found}",
    )
