"""What trained weights say of where they come from: about.json beside them."""

from typing import Any

from tqdm import tqdm

from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe

ABOUT = "about.json"
HASHED = 500  # scenes of each data set; generated ones hardly end


def describe(config: Config, step: int, meta: dict[str, Any]) -> dict[str, Any]:
    """The content of about.json: the training's length, the data with hashes and licences.

    meta: what the checkpoint holds about its frozen part (file, checksum).

    Raises:
        UserError: a data set of the configuration cannot be opened here.
    """
    recipe = Recipe.of(config.data)
    weights = config.data.weights or (None,) * len(config.data.train)
    sources = [open_source(spec, recipe) for spec in config.data.train]
    return {
        "name": config.name,
        "note": config.note,
        "steps": step,
        "frozen_part": {key: meta[key] for key in ("kind", "source", "sha256") if key in meta},
        "data": [
            {"spec": spec, "weight": weight} | _describe_source(source)
            for spec, weight, source in zip(config.data.train, weights, sources, strict=True)
        ],
    }


def _describe_source(source: Source) -> dict[str, Any]:
    """Its scenes, the hash of the objects in the first of them, and its licence."""
    objects = []
    hashed = min(len(source), HASHED)
    for index in tqdm(range(hashed), desc="hashing objects", unit="scene"):
        scene = source[index]
        for item in scene.objects:
            area = int((scene.mask(item) & ~scene.ignore).sum())
            objects += [(scene.name, item.id, area)] if area else []
    return {
        "scenes": len(source),
        "scenes_hashed": hashed,
        "objects": len(objects),
        "object_hash": object_hash(objects),
        "licence": getattr(source, "licence", "not stated"),
    }
