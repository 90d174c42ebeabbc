"""What the bytes of a picture file say, whatever its name says and before it is decoded.

Decoders are lenient: OpenCV returns a JPEG that was cut in half as a picture with a grey lower
half. File signatures and block structure are those of the PNG, JPEG (JFIF), TIFF 6.0, BMP, GIF and
WebP specifications.
"""

import os
import zlib

from rsisrefiner_jax.formats.kinds import kind_of_data
from rsisrefiner_jax.formats.left_out import Problem

# Format -> the endings of names that promise it; the first is the usual one.
ENDINGS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "JPEG 2000": (".jp2", ".j2k", ".jpx"),
}
_NAMES = {  # of kinds, which go by GDAL's drivers
    "PNG": "PNG",
    "JPEG": "JPEG",
    "GTiff": "TIFF",
    "BMP": "BMP",
    "GIF": "GIF",
    "WEBP": "WebP",
    "JP2OpenJPEG": "JPEG 2000",
}
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"  # JPEG markers
_END_MARKS = {"PNG": b"IEND\xaeB`\x82", "JPEG": _END_OF_IMAGE}
_GLANCE = 4096  # bytes at either end of a file


def picture_format(data: bytes) -> str:
    """The format by the first bytes of a file, a key of `ENDINGS`; "" when it is none of them."""
    return _NAMES.get(kind_of_data(data) or "", "")


def promised_format(ending: str) -> str:
    """The format that the ending of a name (".png") promises; "" when it promises none."""
    return next((name for name, known in ENDINGS.items() if ending.lower() in known), "")


def file_problem(path: str, whole: bool = False) -> Problem | None:
    """Why a file cannot be a whole picture, as far as its first and last bytes tell. Never raises.

    A PNG or JPEG is read whole when it has no end mark near its end, or if `whole`: the checksums
    of a PNG are then tried, too.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_GLANCE)
            file.seek(max(os.fstat(file.fileno()).st_size - _GLANCE, 0))
            tail = file.read()
            mark = _END_MARKS.get(picture_format(head))
            if mark and (whole or mark not in tail or len(head) < _GLANCE):
                file.seek(0)
                return content_problem(file.read())
    except FileNotFoundError:
        return Problem("missing-file", _missing(path))
    except (OSError, ValueError) as error:
        return _cannot_open(error)
    return _head_problem(head)


def read_content(path: str) -> bytes | Problem:
    """The bytes of a file that may be a whole picture, or why it is none. Never raises."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return Problem("missing-file", _missing(path))
    except (OSError, ValueError) as error:
        return _cannot_open(error)
    return content_problem(data) or data


def content_problem(data: bytes) -> Problem | None:
    """Why the bytes of a file cannot be a whole picture, without decoding them."""
    problem = _head_problem(data[:_GLANCE])
    if problem:
        return problem
    if is_damaged(data):
        return Problem("damaged", "has a damaged block")
    if is_cut_off(data):
        return Problem("truncated", f"ends early, after {len(data):,} bytes")
    return None


def is_cut_off(data: bytes) -> bool:
    """Whether a PNG or JPEG ends before its end mark. Other formats: False."""
    if picture_format(data) == "PNG":
        return not any(kind == b"IEND" for kind, _ in _png_blocks(data))
    if picture_format(data) == "JPEG":
        # From the last scan on: a thumbnail in the header has an end mark of its own.
        return data.find(_END_OF_IMAGE, data.rfind(_START_OF_SCAN) + 2) < 0
    return False


def is_damaged(data: bytes) -> bool:
    """Whether a block of a PNG contradicts its checksum. Other formats have none: False."""
    return picture_format(data) == "PNG" and not all(intact for _, intact in _png_blocks(data))


def _png_blocks(data: bytes) -> list[tuple[bytes, bool]]:
    """(type, checksum holds) of every complete block up to the end mark."""
    view, at, blocks = memoryview(data), 8, []
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(view[at : at + 4])
        if end > len(data):
            break
        kind = bytes(view[at + 4 : at + 8])
        intact = zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end])
        blocks.append((kind, intact))
        if kind == b"IEND":
            break
        at = end
    return blocks


def _head_problem(head: bytes) -> Problem | None:
    if not head:
        return Problem("zero-bytes", "is empty")
    if not any(head):
        return Problem("zero-bytes", "holds zeros instead of a picture")
    if head.startswith(b"version https://git-lfs"):
        return Problem("unreadable", "is a Git LFS pointer, not the picture: run git lfs pull")
    start = head[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"<", b"{") and not start.startswith(b"<VRTDataset"):
        return Problem(
            "unreadable", "is text, perhaps a web page that was saved instead of the picture"
        )
    return None


def _cannot_open(error: Exception) -> Problem:
    return Problem("unreadable", f"cannot be opened ({getattr(error, 'strerror', None) or error})")


def _missing(path: str) -> str:
    """That a file is missing, and the file that was meant if only the ending's spelling differs."""
    stem = os.path.splitext(path)[0]
    for ending in (end for known in ENDINGS.values() for end in known):
        for other in (stem + ending, stem + ending.upper()):
            if os.path.isfile(other):
                return f"is not there, but {os.path.basename(other)} is"
    return "is not there"
