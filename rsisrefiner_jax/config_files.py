"""The configurations that come with the package. Wherever a file is named, a name will do."""

from pathlib import Path

from rsisrefiner_jax.errors import require


def find(name: str) -> Path:
    """The file of a configuration: that of one included, unless there is a file of that name.

    Raises:
        UserError: neither.
    """
    known = included()
    file = Path(name) if Path(name).is_file() else known.get(name)
    require(
        file is not None,
        f"--config {name}: no such file; those included are {', '.join(known)} (base: the paper)",
    )
    assert file is not None
    return file


def included() -> dict[str, Path]:
    """The files of the configurations included, by name."""
    package = Path(__file__).parent
    inside = package / "configs"  # in a wheel; in a copy of the sources they lie beside the package
    folder = inside if inside.is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}
