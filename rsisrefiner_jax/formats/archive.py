"""Unpacking a client's zip: flat, few files of known kinds, and not more than they say."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.safe_names import safe_name

KINDS = (".shp", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".txt", ".yaml", ".yml", ".png")
MOST = 1000  # entries
MEBIBYTE = 1 << 20
UNPACKED_LIMIT = 512 * MEBIBYTE


def unpack(file: Path, folder: Path) -> list[Path]:
    """The files of known kinds, written into `folder` without their own folders.

    A link in a zip becomes a file that holds the link's text; zips in it stay packed.

    Raises:
        UserError: no zip, or one that unpacks to too much.
    """
    too_much = f"{file.name}: it unpacks to more than the {UNPACKED_LIMIT // MEBIBYTE} MiB taken"
    left = UNPACKED_LIMIT
    made: list[Path] = []
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir()]
            require(len(entries) <= MOST, f"{file.name}: more than {MOST} files in one zip")
            require(sum(entry.file_size for entry in entries) <= left, too_much)
            for entry in entries:
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                if path.suffix.lower() not in KINDS or path.name.startswith("._"):
                    continue
                target = folder / safe_name(path.name)
                require(not target.exists(), f"{file.name}: it holds {path.name} twice")
                with archive.open(entry) as source, open(target, "xb") as out:
                    while part := source.read(MEBIBYTE):
                        left -= len(part)
                        require(left >= 0, too_much)
                        out.write(part)
                made.append(target)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{file.name}: not a zip file that can be unpacked") from error
    return made
