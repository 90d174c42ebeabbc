"""Draws what a data SPEC holds, as one picture to look at.

python -m rsisrefiner_jax.data.show SPEC --out sheet.png              training samples
python -m rsisrefiner_jax.data.show SPEC --out sheet.png --scenes     whole scenes
"""

import argparse
import dataclasses
from collections.abc import Sequence

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.console import add_overrides, program
from rsisrefiner_jax.errors import UserError, require, run_main


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=program("show"),
        description="Draws training samples as the trainer sees them (after augmentation, target "
        "outlined, first click), or with --scenes whole scenes with all their objects.",
    )
    parser.add_argument("spec", help="data SPEC, as coco:IMAGES_DIR,ANNOTATIONS.json")
    parser.add_argument("--out", required=True, metavar="FILE.png")
    parser.add_argument("--scenes", action="store_true", help="whole scenes, colours by class")
    parser.add_argument("--tiles", type=int, help="how many (default: 12 samples, 6 scenes)")
    parser.add_argument("--config", help="training configuration (default: the paper's)")
    add_overrides(parser, "of the configuration, as data.bands=[3,2,1]")
    args = parser.parse_args(arguments)
    require(args.tiles is None or args.tiles > 0, f"--tiles {args.tiles}: must be at least 1")
    require(args.out.lower().endswith(".png"), f"--out {args.out}: the sheet is a PNG; end in .png")
    config = (
        config_module.load(args.config, args.set)
        if args.config
        else config_module.apply_overrides(config_module.Config(), args.set)
    )
    if args.scenes:
        show_scenes(args.spec, args.out, config, args.tiles or 6)
    else:
        show_samples(args.spec, args.out, config, args.tiles or 12)
    print(args.out)


def show_samples(spec: str, path: str, config: config_module.Config, tiles: int) -> None:
    """Writes the first training samples of `config` over one data set."""
    import numpy as np

    from rsisrefiner_jax.data.pipeline import Samples, targets_in_a_row
    from rsisrefiner_jax.data.preview import training_sheet
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.data.stretch import Recipe

    data = dataclasses.replace(config.data, train=(spec,), weights=())
    samples = Samples([open_source(spec, Recipe.of(data))], dataclasses.replace(config, data=data))
    drawn = [samples[number] for number in range(tiles)]
    batch = {key: np.stack([sample[key] for sample in drawn]) for key in drawn[0]}
    training_sheet(targets_in_a_row(batch), path, tiles, columns=4, gap=6)


def show_scenes(spec: str, path: str, config: config_module.Config, tiles: int) -> None:
    """Writes random scenes with every object outlined in its class's colour, and a legend.

    Of `config` it takes the seed and how files become RGB. Scenes that cannot be read are passed
    over. Raises UserError when none can.
    """
    import numpy as np

    from rsisrefiner_jax.data.scene import Scene
    from rsisrefiner_jax.data.sheet import PALETTE, scene_tile, write_sheet
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.data.stretch import Recipe

    source = open_source(spec, Recipe.of(config.data))
    scenes: list[Scene] = []
    problem = f"{spec}: there is no scene"
    for index in np.random.default_rng(config.seed).permutation(len(source)):
        try:
            scenes.append(source[int(index)])
        except UserError as error:
            problem = str(error)
        if len(scenes) == tiles:
            break
    require(bool(scenes), problem)
    names = sorted({item.category for scene in scenes for item in scene.objects})
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    captions = [
        f"{len(scene.objects)} object{'s'[: len(scene.objects) != 1]}   "
        f"{scene.image.shape[0]} x {scene.image.shape[1]} px\n{scene.name}"
        for scene in scenes
    ]
    drawn = [scene_tile(scene, colours) for scene in scenes]
    legend = {name or "object": colour for name, colour in colours.items()}
    write_sheet(path, drawn, captions, 3, spec, legend)


if __name__ == "__main__":
    run_main(main)
