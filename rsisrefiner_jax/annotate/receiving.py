"""Receiving files from clients: few at a time, and never so much that the disk gets full."""

import asyncio
import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from rsisrefiner_jax.annotate import safety
from rsisrefiner_jax.annotate.disk import room_for
from rsisrefiner_jax.annotate.refusals import Busy, NoSpace
from rsisrefiner_jax.annotate.safety import MEBIBYTE
from rsisrefiner_jax.errors import UserError, require

AS_FORM = 'send the file as multipart/form-data, in a field called "file"'


@dataclasses.dataclass(frozen=True)
class Sent:
    """A client's file, there until the request ends, and the text fields beside it."""

    name: str
    content: BinaryIO
    fields: dict[str, str]


@dataclasses.dataclass
class _Coming:
    """A request on its way, in bytes. expected: what it says of itself, 0 where it does not."""

    keep: bool
    expected: int
    received: int = 0

    @property
    def whole(self) -> int:
        return max(self.expected, self.received)

    @property
    def missing(self) -> int:
        """Bytes of disk that it will still take: the rest of the file, and one copy of it."""
        return 2 * self.whole - self.received


class Receiver:
    """Receives files of requests, on the event loop.

    Args:
        folder: where they lie, without a name, until they have been dealt with.
        uploads: the folder of those that are kept; its files may take `quota` bytes.
    """

    def __init__(self, folder: Path, uploads: Path, quota: int) -> None:
        self._folder = folder
        self._uploads = uploads
        self._quota = quota
        self._kept = 0
        self._coming: list[_Coming] = []

    @contextlib.asynccontextmanager
    async def receive(self, request: Request, keep: bool = False) -> AsyncGenerator[Sent]:
        """The multipart field "file" of a request. keep: it will become one of the uploads.

        Raises:
            Busy: others are being received.
            NoSpace: it would take more than the quota, or of the disk than may be taken.
            UserError: there is no such field, or it stopped coming.
        """
        if len(self._coming) >= safety.RECEIVED_AT_ONCE:
            raise Busy(f"{len(self._coming)} files are being received already; try again soon")
        is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
        require(is_form, AS_FORM)
        length = request.headers.get("content-length", "")
        coming = _Coming(keep, int(length) if length.isdigit() else 0)
        self._coming.append(coming)
        self._measure()
        try:
            self._require_room()
            parser = _Parser(request.headers, self._stream(request, coming), self._folder)
            try:
                with room_for("the file"):
                    form = await parser.parse()
            except MultiPartException as error:
                raise UserError(f"{AS_FORM} ({error})") from error
            except ClientDisconnect as error:
                raise UserError("the file broke off") from error
            try:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise UserError(AS_FORM)
                fields = {key: text for key, text in form.items() if isinstance(text, str)}
                yield Sent(file.filename or "file", file.file, fields)
            finally:
                await form.close()
        finally:
            self._coming.remove(coming)
            self._measure()

    async def _stream(self, request: Request, coming: _Coming) -> AsyncIterator[bytes]:
        parts = request.stream()
        while True:
            try:
                async with asyncio.timeout(safety.RECEIVE_PATIENCE):
                    part = await anext(parts, b"")
            except TimeoutError as error:
                raise UserError("the file stopped coming; send it again") from error
            if not part:
                return
            coming.received += len(part)
            self._require_room()
            yield part

    def _measure(self) -> None:
        self._kept = 0
        for file in self._uploads.rglob("*"):
            with contextlib.suppress(OSError):  # it was just removed
                self._kept += file.stat().st_size if file.is_file() else 0

    def _require_room(self) -> None:
        """Raises NoSpace."""
        kept = self._kept + sum(one.whole for one in self._coming if one.keep)
        if kept > self._quota and any(one.keep for one in self._coming):
            raise NoSpace(
                f"uploads of this project may take {_size(self._quota)} together; put the file "
                "into one of the folders given at start, or start with a larger --upload-quota"
            )
        disk = shutil.disk_usage(self._folder)
        reserve = min(safety.DISK_RESERVE, disk.total // 20)
        if disk.free - sum(one.missing for one in self._coming) < reserve:
            raise NoSpace(
                f"the disk of the project has {_size(disk.free)} left, of which {_size(reserve)} "
                "stay free; make room there"
            )


class _Parser(MultiPartParser):
    """Starlette's, with the file in a folder of ours: the system's own may be small, or memory."""

    def __init__(self, headers: Headers, stream: AsyncIterator[bytes], folder: Path) -> None:
        super().__init__(headers, cast(Any, stream), max_files=1, max_fields=16)
        self._folder = folder

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        file = self._current_part.file
        if file is not None:
            # It goes when the process does.
            nameless = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            self._files_to_close_on_error.append(cast(Any, nameless))
            file.file = cast(BinaryIO, nameless)


def body_with_file(other: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """What the API's document says of a request with a file.

    Args:
        other: further content types of the request.
        fields: schemas of the text fields beside the file.
    """
    properties = {"file": {"type": "string", "format": "binary"}, **fields}
    schema = {"type": "object", "properties": properties, "required": ["file"]}
    content = {**(other or {}), "multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _size(count: int) -> str:
    gibibytes = count / (1024 * MEBIBYTE)
    return f"{gibibytes:.1f} GiB" if gibibytes >= 1 else f"{count / MEBIBYTE:.0f} MiB"
