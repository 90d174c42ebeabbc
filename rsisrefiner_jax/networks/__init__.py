"""The networks that come with the package. Wherever a checkpoint is named, their names do as well.

box: RS-ISRefiner on MobileSAM's frozen encoder and decoder (`configs/box.py`), with which the
annotator opens. small: a small one of generated scenes alone (`configs/annotator.py`), quick on a
weak machine. Each folder is a checkpoint, which `checkpoint.runs` describes.
"""

from pathlib import Path

from rsisrefiner_jax.errors import require

PACKAGED = {name: Path(__file__).parent / name for name in ("box", "small")}
DEFAULT = "box"  # where people click and name none
FROZEN = "frozen.npz"  # a file that every checkpoint has
CHECKPOINTS = "checkpoints"  # a work directory's folder of checkpoints


def checkpoint_folder(name: str | Path) -> Path:
    """The folder of a checkpoint: a packaged network's, unless there is a folder of that name."""
    return Path(name) if Path(name).exists() else PACKAGED.get(str(name), Path(name))


def require_checkpoint(name: str | Path) -> Path:
    """As `checkpoint_folder`. Raises UserError: there is no such folder."""
    folder = checkpoint_folder(name)
    require(
        folder.is_dir(),
        f"{folder}: no checkpoint there; name the folder of one, or a packaged one: "
        f"{', '.join(PACKAGED)}",
    )
    return folder


def checkpoint_in(folder: Path) -> Path | None:
    """The folder's checkpoint: that of a run's work directory, or the folder itself; else None."""
    places = (folder / CHECKPOINTS, folder)
    return next((place for place in places if (place / FROZEN).is_file()), None)
