"""The networks that come with the package. Wherever a checkpoint is named, their names do as well.

box: RS-ISRefiner on MobileSAM's frozen encoder and decoder (`configs/box.py`).
small: a small one of generated scenes alone (`configs/annotator.py`), with which the annotator
opens. Each folder is a checkpoint.
"""

from pathlib import Path

PACKAGED = {name: Path(__file__).parent / name for name in ("box", "small")}


def checkpoint_folder(name: str | Path) -> Path:
    """The folder of a checkpoint: a packaged network's, unless there is a folder of that name."""
    return Path(name) if Path(name).exists() else PACKAGED.get(str(name), Path(name))
