"""The files that a person downloaded: a folder in which zip archives look like folders.

Nothing is ever written into that folder; what has to be unpacked goes to a scratch folder.
"""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator

from rsisrefiner_jax.errors import UserError, require

_HIDDEN = re.compile(r"(^|/)(\.|__MACOSX(/|$))")
_OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".zip")


class Files:
    """Every file below a folder, members of its zip archives included.

    names: paths relative to the folder with "/" between, such as "Train.zip/Train/Urban/1.png";
        plain files in order of name, then the members of archives.
    archives: names of the archives that cannot be looked into (rar, 7z, zip within zip ...).

    Args:
        root: the folder.
        scratch: where archives may be unpacked to.

    Raises:
        UserError: no such folder, or a broken zip file.
    """

    def __init__(self, root: str, scratch: str) -> None:
        require(os.path.isdir(root), f"{root}: no such folder to prepare from")
        self.root = root
        self._scratch = scratch
        self._members: dict[str, tuple[str, str]] = {}  # name -> archive's path, member
        plain: list[str] = []
        zips: list[str] = []
        for name in _walk(root):
            (zips if name.lower().endswith(".zip") else plain).append(name)
        for name in zips:
            path = os.path.join(root, name)
            for member in _zip_members(path):
                self._members[f"{name}/{member}"] = path, member
        self.names = [*plain, *self._members]
        self.archives = [name for name in self.names if name.lower().endswith(_OTHER_ARCHIVES)]

    def scratch(self) -> str:
        """A folder for files that are needed meanwhile."""
        os.makedirs(self._scratch, exist_ok=True)
        return self._scratch

    def shown(self, name: str) -> str:
        """The name of a file in messages."""
        return os.path.join(self.root, name)

    @contextlib.contextmanager
    def local(self, *names: str) -> Iterator[list[str]]:
        """Paths of files that can be opened; members of archives only exist meanwhile.

        Raises:
            UserError: a member that cannot be unpacked. Messages of any UserError that leaves
                the context name the files as the person knows them.
        """
        with contextlib.ExitStack() as stack:
            paths = []
            for name in names:
                if name in self._members:
                    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=self.scratch()))
                    paths.append(self._unpack(name, folder))
                else:
                    paths.append(self.shown(name))
            try:
                yield paths
            except UserError as error:
                message = str(error)
                for path, name in zip(paths, names, strict=True):
                    message = message.replace(path, self.shown(name))
                raise UserError(message) from error

    def folder(self, names: Iterable[str]) -> str:
        """A folder that holds files of one folder, unpacked into the scratch folder if need be."""
        names = list(names)
        parent = os.path.dirname(names[0])
        if names[0] not in self._members:
            return self.shown(parent)
        folder = os.path.join(self._scratch, hashlib.sha256(parent.encode()).hexdigest()[:16])
        if not os.path.isdir(folder):
            with tempfile.TemporaryDirectory(dir=self.scratch()) as unpacked:
                content = os.path.join(unpacked, "content")
                os.mkdir(content)
                for name in names:
                    self._unpack(name, content)
                os.rename(content, folder)
        return folder

    def _unpack(self, name: str, folder: str) -> str:
        path, member = self._members[name]
        target = os.path.join(folder, os.path.basename(name))
        try:
            with _archive(path).open(member) as packed, open(target, "wb") as file:
                shutil.copyfileobj(packed, file)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise UserError(
                f"{self.shown(name)}: cannot be unpacked ({error}); unpack {path} yourself or "
                "download it again"
            ) from error
        return target


def fingerprint(paths: Iterable[str], more: str = "") -> str:
    """Changes when a file at or below `paths` does: over names, sizes and times of change.

    more: text that goes into it, too.
    """
    digest = hashlib.sha256(more.encode())
    for root in paths:
        names = _walk(root) if os.path.isdir(root) else [""]
        for name in names:
            path = os.path.join(root, name) if name else root
            stat = os.stat(path)
            digest.update(f"{name}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _walk(root: str) -> list[str]:
    """Names of all files below a folder, sorted, without hidden ones."""
    names = []
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not _HIDDEN.search(name)]
        for file in files:
            if not file.startswith("."):
                names.append(os.path.relpath(os.path.join(folder, file), root))
    return sorted(name.replace(os.sep, "/") for name in names)


def _archive(path: str) -> zipfile.ZipFile:
    return _opened(path, os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _opened(path: str, _modified: int) -> zipfile.ZipFile:
    """An archive, opened once a process: the list of what is in it may be long."""
    return zipfile.ZipFile(path)


def _zip_members(path: str) -> list[str]:
    try:
        members = [item.filename for item in _archive(path).infolist() if not item.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path}: not a whole zip file ({error}); download it again") from error
    return sorted(member for member in members if not _HIDDEN.search(member))
