"""Where the networks of a project lie: with the package, in the project's own folder, elsewhere."""

from pathlib import Path

from rsisrefiner_jax.networks import PACKAGED

FOLDER = "networks"  # in the project's; each folder in it is a checkpoint
FIRST = "small"  # what a project begins with


def told(checkpoint: Path, project: Path) -> str:
    """What an event says of a checkpoint: a packaged network's name, "networks/NAME" or a path."""
    real = checkpoint.resolve()
    for name, folder in PACKAGED.items():
        if folder.resolve() == real:
            return name
    own = (project / FOLDER).resolve()
    return f"{FOLDER}/{real.name}" if real.parent == own else str(real)


def found(name: str, project: Path) -> Path:
    """The inverse of `told`; nothing need be there."""
    return PACKAGED.get(name, project / name)


def own_networks(project: Path) -> list[Path]:
    """The checkpoints in the project's folder, in the order of their names."""
    folder = project / FOLDER
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
