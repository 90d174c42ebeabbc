"""Prepared data sets: what `rsisrefiner_jax.data.prepare` made, read back as scenes."""

import json
import os
from pathlib import Path
from typing import Any

from rsisrefiner_jax.data.builders.record import decode
from rsisrefiner_jax.data.scene import Scene
from rsisrefiner_jax.errors import UserError, require

ABOUT = "about.json"  # counts by split and class, hashes, licence: see builders/about.py


def prepared_root() -> Path:
    """The folder of all prepared data sets: $RSISREFINER_DATA, else in the user's home."""
    given = os.environ.get("RSISREFINER_DATA")
    return Path(given) if given else Path.home() / ".local/share/rsisrefiner_jax/data"


def is_prepared(name: str) -> bool:
    """Whether there is a prepared data set of this name here."""
    return name.isidentifier() and (prepared_root() / name / ABOUT).is_file()


def read_about(folder: str | Path) -> dict[str, Any]:
    """The content of a prepared data set's about.json. Raises UserError where there is none."""
    path = Path(folder) / ABOUT
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); delete {folder} and prepare the data set again"
        ) from error


class PreparedSource:
    """Scenes of a prepared data set, in the order of its source (data/scene.py `Source`).

    Threads may read at the same time; a pickled copy opens the records anew.

    Args:
        name: of the data set.
        split: one of its splits, a slice in TFDS's notation ("train[:10%]"), or "" for all its
            splits one after the other.

    Raises:
        UserError: the data set, or the split, is not here.
    """

    def __init__(self, name: str, split: str = "") -> None:
        folder = prepared_root() / name
        require(is_prepared(name), f"{folder}: there is no prepared data set {name!r}")
        self.about = read_about(folder)
        self.licence = str(self.about.get("licence", "not stated"))
        splits = list(self.about["splits"])
        require(
            split.partition("[")[0] in ("", *splits),
            f"data '{name}:{split}': no such split; {name} has {', '.join(splits)}",
        )
        self._folder = str(folder)
        self._split = split or "+".join(splits)
        self._open()

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < len(self):
            raise IndexError(f"{self._folder} has scenes 0..{len(self) - 1}, not {index}")
        return decode(self._records[index])

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_records"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def _open(self) -> None:
        import tensorflow_datasets as tfds

        versions = sorted(Path(self._folder).glob("*/dataset_info.json"))
        require(bool(versions), f"{self._folder}: the records are gone; prepare it again")
        try:
            builder = tfds.builder_from_directory(str(versions[-1].parent))
            self._records = builder.as_data_source(self._split)
        except (OSError, ValueError, AssertionError) as error:
            raise UserError(f"{self._folder}: {self._split!r} cannot be read ({error})") from error
