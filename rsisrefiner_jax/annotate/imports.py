"""Files with objects while they are read: how far that is, and what was found last."""

import hashlib
import threading
import time
from collections import OrderedDict
from typing import Any, BinaryIO

from rsisrefiner_jax.annotate.importing.reading import Reading
from rsisrefiner_jax.annotate.safety import MEBIBYTE
from rsisrefiner_jax.formats.progress import Progress

KEPT = 300.0  # seconds that what a preview found waits for its import
MOST = 20  # imports whose progress is known; the oldest are forgotten first


class Imports:
    """The imports of a project: their progress, and the last preview. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: OrderedDict[str, Progress] = OrderedDict()
        self._found: tuple[Any, Reading, float] | None = None

    def begin(self, key: str | None) -> Progress:
        """The progress of an import, which `progress` gives by the key that its client chose."""
        if key is None:
            return Progress()
        with self._lock:
            known = self._progress.get(key)
            return known if known and not known.total else self._remembered(key)

    def progress(self, key: str) -> Progress:
        """That of an import. It may be cancelled before its file is here: nothing comes of it."""
        with self._lock:
            return self._progress.get(key) or self._remembered(key)

    def _remembered(self, key: str) -> Progress:
        self._progress[key] = progress = Progress()
        self._progress.move_to_end(key)
        while len(self._progress) > MOST:
            self._progress.popitem(last=False)
        return progress

    def keep(self, about: Any, reading: Reading) -> None:
        """What a preview found, for the import of the same file that follows.

        about: file, image and options; whatever decides what is found.
        """
        with self._lock:
            self._found = about, reading, time.monotonic()

    def take(self, about: Any) -> Reading | None:
        """The reading that `keep` was given for the same file, image and options; given once."""
        with self._lock:
            found, self._found = self._found, None
        if found is None or found[0] != about or time.monotonic() - found[2] > KEPT:
            return None
        return found[1]


def digest(content: BinaryIO) -> str:
    """SHA-256 of a file, which is read from its start and left there."""
    content.seek(0)
    found = hashlib.sha256()
    while part := content.read(MEBIBYTE):
        found.update(part)
    content.seek(0)
    return found.hexdigest()
