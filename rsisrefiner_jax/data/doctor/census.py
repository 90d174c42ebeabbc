"""Counts of pictures and objects as training and evaluation get them, through their sources."""

import dataclasses
from collections import Counter, defaultdict

import cv2
from tqdm import tqdm

from rsisrefiner_jax.data.doctor.areas import value_areas
from rsisrefiner_jax.data.doctor.traps import Finding
from rsisrefiner_jax.data.scene import Scene, Source
from rsisrefiner_jax.errors import UserError

SMALL = 256  # pixels; data.min_object_area: training drops smaller objects
_GENERATED = 200  # scenes examined of a source too long to have files
_FEWEST_PICTURES, _FEWEST_PIXELS = 4, 2000  # for a word on colours
_COOL = 0.75  # share of coloured pixels with more blue than red; land has 0.0 to 0.6


@dataclasses.dataclass
class Census:
    """Counts over the scenes of a source.

    unread: why scenes could not be read, in order. left_out: what the source goes without.
    empty: pictures that are no scenes for want of objects. areas: pixels of every object, by class
        name.
    """

    scenes: int = 0
    total: int = 0
    without_objects: int = 0
    unread: list[str] = dataclasses.field(default_factory=list)
    left_out: str = ""
    empty: int = 0
    areas: dict[str, list[int]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    coloured: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def objects(self) -> int:
        return sum(map(len, self.areas.values()))

    def add(self, scene: Scene) -> None:
        """Counts one scene."""
        self.scenes += 1
        self.without_objects += not scene.objects
        for layer in range(scene.labels.shape[-1]):
            values, areas = value_areas(scene.labels[..., layer])
            by_id = dict(zip(values.tolist(), areas.tolist(), strict=True))
            for item in scene.objects:
                if item.layer == layer:
                    self.areas[item.category].append(by_id.get(item.id, 0))
        thumb = cv2.resize(scene.image, (64, 64), interpolation=cv2.INTER_AREA).astype(int)
        warmth = (thumb[..., 0] - thumb[..., 2])[thumb.max(-1) >= 60]  # shadow is blue
        self.coloured["warm"] += int((warmth > 12).sum())
        self.coloured["cool"] += int((warmth < -12).sum())


def take_census(source: Source) -> Census:
    """Reads every scene; of a generated data set the first 200."""
    generated = getattr(source, "length", 0) > _GENERATED
    census = Census(
        total=len(source),
        empty=getattr(source, "pictures_without_objects", 0),
        left_out=source.left_out.sentence() if hasattr(source, "left_out") else "",
    )
    indices = range(_GENERATED if generated else len(source))
    for index in tqdm(indices, "reading scenes", unit="scene", leave=False):
        try:
            census.add(source[index])
        except UserError as error:
            census.unread.append(str(error))
        except Exception as error:  # a broken file must not end the examination
            census.unread.append(f"scene {index}: {type(error).__name__}: {error}")
    return census


def colour_doubt(census: Census, spec: str) -> list[Finding]:
    """A hint that red and blue are exchanged: land is warm (soil, roofs, yellowish green)."""
    warm, cool = census.coloured["warm"], census.coloured["cool"]
    share = cool / max(warm + cool, 1)
    if census.scenes < _FEWEST_PICTURES or warm + cool < _FEWEST_PIXELS or share < _COOL:
        return []
    message = f"{share:.0%} of the coloured pixels are more blue than red"
    return [Finding("bgr-or-rgb", spec, message)]
