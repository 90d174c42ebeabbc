"""What a raster file is, by its first bytes, and the GDAL driver that may open it."""

import os

from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.safe_names import printable

# Extension -> the GDAL driver that may open it, for the rasters that anybody may hand in. A VRT is
# no picture but a list of other files, so neither it nor anything else that points elsewhere is
# here.
DRIVERS = {
    ".tif": "GTiff",
    ".tiff": "GTiff",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jp2": "JP2OpenJPEG",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".img": "HFA",
}
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"BM": "BMP",
    b"RIFF": "WEBP",
    b"EHFA_HEADER_TAG": "HFA",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"%PDF": "PDF",
    b"PK\x03\x04": "zip",
    b"GIF8": "GIF",
    b"NITF": "NITF",
    b"CDF\x01": "netCDF",
    b"CDF\x02": "netCDF",
    b"CDF\x05": "netCDF",
    b"\x89HDF\r\n": "HDF5 (or netCDF)",
}
_HEADED = ("ENVI", "EHdr")  # bare pixels with a text header beside them: no signature
BROKEN = "cannot be read as a raster (it is broken or no image)"
_READ = {*DRIVERS.values(), "GIF", "NITF"}


def kind_of(file: str | os.PathLike[str]) -> str | None:
    """The kind of a file by its first bytes; None where they are not known."""
    return kind_of_data(_head(file))


def kind_of_data(head: bytes) -> str | None:
    """The kind of a file by its first 12 bytes or more; None where they are not known."""
    kind = next((kind for start, kind in SIGNATURES.items() if head.startswith(start)), None)
    return None if kind == "WEBP" and head[8:12] != b"WEBP" else kind


def drivers_for(path: str) -> tuple[str, ...]:
    """The GDAL drivers that may open a raster, of which the first that can is taken.

    A file with a known signature gets the one driver of that kind, whatever its name. Without one
    it may be bare pixels with a header file (ENVI, ESRI), and a file that is called .vrt and is
    one may be opened as VRT: it lists other files, which a person does on purpose. So a VRT under
    any other name is refused, and the annotator's server never comes here with a name that is not
    in `DRIVERS`.

    Raises:
        UserError: a kind that is not read.
    """
    kind = kind_of(path)
    name = printable(os.path.basename(path))
    suffix = os.path.splitext(path)[1].lower()
    if kind is None and suffix == ".vrt" and _is_vrt(path):
        return ("VRT",)
    if kind is None and (suffix not in DRIVERS or suffix == ".img"):
        return _HEADED
    require(kind is not None, f"{name}: {BROKEN}")
    assert kind is not None
    require(
        kind in _READ,
        f"{name}: {kind} files are not read as rasters; make it a GeoTIFF with gdal_translate",
    )
    return (kind,)


def _is_vrt(path: str) -> bool:
    return _head(path).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<VRTDataset")


def _head(file: str | os.PathLike[str]) -> bytes:
    with open(file, "rb") as content:
        return content.read(64)
