"""Where the networks of a project lie: with the package, in the project's own folder, elsewhere."""

from pathlib import Path

from rsisrefiner_jax.networks import PACKAGED, checkpoint_in

FOLDER = "networks"  # in the project's; each folder in it is a checkpoint


def name_of(checkpoint: Path, project: Path) -> str:
    """How a project records a checkpoint: a packaged network's name, "networks/NAME" or a path."""
    real = checkpoint.resolve()
    for name, folder in PACKAGED.items():
        if folder.resolve() == real:
            return name
    own = (project / FOLDER).resolve()
    return f"{FOLDER}/{real.name}" if real.parent == own else str(real)


def folder_of(name: str, project: Path) -> Path:
    """The inverse of `name_of`; nothing need be there."""
    return PACKAGED.get(name, project / name)


def own_networks(project: Path) -> list[Path]:
    """The checkpoints in the project's folder, the newest first."""
    folder = project / FOLDER
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    found = [path for path in found if checkpoint_in(path)]
    return sorted(found, key=lambda path: (-path.stat().st_mtime, path.name))
