"""Whether the files of a project's images are still those that were annotated."""

import contextlib
import math
from pathlib import Path

from rsisrefiner_jax.annotate import rasters
from rsisrefiner_jax.annotate.file_identity import digest_of, size_and_time_of
from rsisrefiner_jax.annotate.recorded_state import RecordedState, lookup
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.data.project.records import Image, SizeAndTime
from rsisrefiner_jax.data.project.state import raster_to
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.raster_info import Raster


class ImageFiles:
    """The files behind images: noticing and accepting changes. Any thread may call it."""

    def __init__(self, recorded: RecordedState, roots: Roots, uploads: Path) -> None:
        self._recorded = recorded
        self._roots = roots
        self._uploads = uploads

    def info(self, image: Image) -> Raster:
        """What an image's file says about itself now.

        Raises:
            UserError: it is gone, cannot be opened, or lies outside the roots.
        """
        inside = self._roots.holds(image.path) or image.path.resolve().is_relative_to(
            self._uploads.resolve()
        )
        require(
            inside, f"{image.name}: it lies outside the folders given at start; add --root FOLDER"
        )
        return rasters.open_checked(image.path)

    def changed(self, image: Image) -> str | None:
        """How the file differs from the one that was annotated, as a sentence; None: it does not.

        A file that was only touched or copied anew is the same, which is written down.
        """
        image = self._now(image.id)
        size_and_time = size_and_time_of(image.path)
        if size_and_time is not None and size_and_time == image.size_and_time:
            return None
        try:
            difference = _difference(image.info, self.info(image))
            if (
                difference is None
                and size_and_time is not None
                and _same_content(image, size_and_time)
            ):
                self._record(image, size_and_time, image.digest)
                return None
        except UserError as error:
            return str(error)
        resized, what = difference or (False, "its pixels are others")
        if resized and self._annotated(image.id):
            return (
                f"{image.name}: the file was replaced, {what}; objects lie on the pixels of the "
                "old one, so put that back, or add the new one under another name"
            )
        return (
            f"{image.name}: the file was changed, {what}; use it as it is now, or put the old one "
            "back"
        )

    def require_unchanged(self, image: Image) -> None:
        """Raises Conflict: the file is not the one that was annotated."""
        if sentence := self.changed(image):
            raise Conflict(sentence)

    def accept(self, id: int) -> Image:
        """Takes the file of an image as it is now.

        Results of earlier clicks stay as they are; the next click of an open session is computed
        with all before it on the new pixels.

        Raises:
            Conflict: it has another size in pixels, and there are objects or open sessions; or it
                is being written to.
            UserError: it cannot be opened.
        """
        image = self._now(id)
        sentence = self.changed(image)
        if sentence is None:
            return self._now(id)
        size_and_time, info = size_and_time_of(image.path), self.info(image)
        if size_and_time is None or size_and_time_of(image.path) != size_and_time:
            raise Conflict(f"{image.name}: the file is being written to; try again once it is")
        with self._recorded.lock:
            image = self._now(id)
            if self._annotated(id) and (info.height, info.width) != (
                image.info.height,
                image.info.width,
            ):
                raise Conflict(sentence)
            self._record(image, size_and_time, None, info)
            return self._now(id)

    def remember(self, id: int) -> None:
        """Reads a file whole once, to tell later whether it was changed or touched only."""
        with contextlib.suppress(UserError):  # said when the image is looked at
            image = self._now(id)
            if image.digest is not None or self.changed(image):
                return
            size_and_time = self._now(id).size_and_time
            assert size_and_time is not None
            digest = digest_of(image.path, size_and_time)
            with self._recorded.lock:
                image = self._now(id)
                if image.size_and_time == size_and_time and image.digest is None:
                    self._record(image, size_and_time, digest)

    def _now(self, id: int) -> Image:
        with self._recorded.lock:
            image: Image = lookup(self._recorded.state.images, id, "image")
            return image

    def _annotated(self, id: int) -> bool:
        """Whether objects, also deleted ones, or open sessions lie on an image."""
        with self._recorded.lock:
            state = self._recorded.state
            return any(o.image.id == id for o in state.objects.values()) or any(
                d.image_id == id and d.open for d in state.sessions.values()
            )

    def _record(
        self,
        image: Image,
        size_and_time: SizeAndTime,
        digest: str | None,
        info: Raster | None = None,
    ) -> None:
        fields = {} if info is None else {"info": raster_to(info)}
        self._recorded.record(
            "image_file", {"id": image.id, "stamp": size_and_time, "digest": digest, **fields}
        )


def _difference(old: Raster, new: Raster) -> tuple[bool, str] | None:
    """Whether two files differ in size, and a clause that says how; None: not by what they say."""
    if (old.height, old.width) != (new.height, new.width):
        sizes = f"{new.width} x {new.height} pixels now and {old.width} x {old.height} before"
        return True, f"it has {sizes}"
    if (old.crs, old.transform) != (new.crs, new.transform):
        return False, "its georeference is another"
    if (old.bands, old.dtype) != (new.bands, new.dtype) or not _equal(old.nodata, new.nodata):
        return False, "its bands, their type or no-data value are others"
    return None


def _equal(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or (math.isnan(a) and math.isnan(b))


def _same_content(image: Image, size_and_time: SizeAndTime) -> bool:
    """Whether a file of another size or time has the content that is known of it."""
    if image.size_and_time is None:  # added by a version that knew neither: no more can be told
        return True
    if image.digest is None or size_and_time.size != image.size_and_time.size:
        return False
    return digest_of(image.path, size_and_time) == image.digest
