"""Crafted rasters, and files beside rasters; see `crafted`."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil

from tests.crafted import OWN, SECRET, SIDE, Elsewhere, Maker, link, raster, written
from tests.rasters import write_raster

SUFFIXES = {
    "PNG": "png",
    "JPEG": "jpg",
    "BMP": "bmp",
    "WEBP": "webp",
    "HFA": "img",
    "JP2OpenJPEG": "jp2",
}
RASTERS: dict[str, Maker] = {}


def vrt(source: str, side: int = SIDE, flags: str = "") -> str:
    meta = f'<Metadata><MDI key="INTERNAL_MASK_FLAGS_1">{flags}</MDI></Metadata>' if flags else ""
    return (
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}">{meta}'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


def pam(named: str) -> str:
    item = f'<MDI key="OVERVIEW_FILE">{named}</MDI>'
    return f'<PAMDataset><Metadata domain="OVERVIEWS">{item}</Metadata></PAMDataset>'


# Rasters whose own tags or .aux.xml name another file.

NAMED: dict[str, Callable[[Elsewhere, Path], str]] = {
    "a path": lambda there, _: there.tif,
    "a way up": lambda there, own: f":::BASE:::{os.path.relpath(there.tif, own)}",
    "a path in a folder": lambda there, _: f":::BASE:::{there.tif}",
    "a path from here": lambda there, _: os.path.relpath(there.tif),
    "an address": lambda there, _: f"/vsicurl/{there.address}/x.tif",
    "a stream": lambda there, _: f"/vsicurl_streaming/{there.address}/x.tif",
    "another driver": lambda there, _: f"GTIFF_DIR:1:{there.tif}",
    "text": lambda there, _: vrt(there.tif, SIDE // 2),
}


def _tagged(name: str) -> Maker:
    def make(own: Path, there: Elsewhere) -> Path:
        file = raster(own, f"tag {name}.tif".replace(" ", "_"))
        with rasterio.open(file, "r+") as opened:
            opened.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=NAMED[name](there, own))
        return file

    return make


def _list_beside(own: Path, there: Elsewhere) -> Path:
    """The tag names a file of its own folder, which is a list of files."""
    written(own / "list.tif", vrt(there.tif, SIDE // 2))
    file = raster(own, "names_a_list.tif")
    with rasterio.open(file, "r+") as opened:
        opened.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=":::BASE:::list.tif")
    return file


def _itself(own: Path, there: Elsewhere) -> Path:
    file = raster(own, "itself.tif")
    with rasterio.open(file, "r+") as opened:
        opened.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=":::BASE:::itself.tif")
    return file


RASTERS["tag: a list beside it"] = _list_beside
RASTERS["tag: itself"] = _itself


def _side_text(driver: str, suffix: str, name: str) -> Maker:
    def make(own: Path, there: Elsewhere) -> Path:
        file = saved_as(own, driver, f"pam_{name.replace(' ', '_')}.{suffix}")
        file.with_name(file.name + ".aux.xml").write_text(pam(NAMED[name](there, own)))
        return file

    return make


def saved_as(own: Path, driver: str, name: str, **options: str) -> Path:
    if driver == "GTiff":
        return raster(own, name)
    source = raster(own, "source.tif", count=3 if driver == "WEBP" else 1)
    rasterio.shutil.copy(source, own / name, driver=driver, **options)
    source.unlink()
    return own / name


for _name in NAMED:
    RASTERS[f"tag: {_name}"] = _tagged(_name)
for _driver, _suffix in {**SUFFIXES, "GTiff": "tif"}.items():
    RASTERS[f"aux.xml: {_suffix}"] = _side_text(_driver, _suffix, "a path")
RASTERS["aux.xml: address"] = _side_text("PNG", "png", "an address")


# Side files that are something else than they should be.


def _beside(label: str, ending: str, put: Callable[[Path, Elsewhere], None]) -> None:
    def make(own: Path, there: Elsewhere) -> Path:
        file = raster(own, f"{re.sub('[^a-z]+', '_', label.lower())}.tif")
        put(own / (file.stem + ending if ending == ".aux" else file.name + ending), there)
        return file

    RASTERS[label] = make


def _linked(name: str) -> Callable[[Path, Elsewhere], None]:
    return lambda beside, there: beside.symlink_to(there.folder / name)


def _tagged_overview(beside: Path, there: Elsewhere) -> None:
    raster(beside.parent, "part.tif", side=SIDE // 2).rename(beside)
    with rasterio.open(beside, "r+") as opened:
        opened.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(there.folder / "small.tif"))


def _noted_overview(beside: Path, there: Elsewhere) -> None:
    raster(beside.parent, "part.tif", side=SIDE // 2).rename(beside)
    beside.with_name(beside.name + ".aux.xml").write_text(pam(there.tif))


def _overview_of_overview(beside: Path, there: Elsewhere) -> None:
    raster(beside.parent, "part.tif", side=SIDE // 2).rename(beside)
    beside.with_name(beside.name + ".ovr").symlink_to(there.folder / "small.tif")


_beside("ovr: VRT", ".ovr", lambda p, e: written(p, vrt(e.tif, SIDE // 2)))
_beside("ovr: VRT of an address", ".ovr", lambda p, e: written(p, vrt(f"/vsicurl/{e.address}/x")))
_beside("ovr: a link", ".ovr", _linked("secret.tif"))
_beside("ovr: a link in capitals", ".OVR", _linked("secret.tif"))
_beside("ovr: with a tag", ".ovr", _tagged_overview)
_beside("ovr: with a side file", ".ovr", _noted_overview)
_beside("ovr: with a link", ".ovr", _overview_of_overview)
_beside("msk: VRT", ".msk", lambda p, e: written(p, vrt(str(e.folder / "whole.tif"), SIDE, "2")))
_beside("msk: a link", ".msk", _linked("whole.tif"))
_beside("aux.xml: a link", ".aux.xml", _linked("secret.aux.xml"))
_beside("aux: a link", ".aux", _linked("secret.tif"))
_beside("aux.xml: a pipe", ".aux.xml", lambda p, _: os.mkfifo(p))


def _placed(own: Path, there: Elsewhere) -> Path:
    """A raster that a link to a world file places."""
    file = write_raster(own / "placed.tif", np.full((1, SIDE, SIDE), OWN, np.uint8))
    (own / "placed.tfw").symlink_to(there.folder / "secret.tfw")
    return Path(file)


RASTERS["tfw: a link"] = _placed


def _imagine(own: Path, there: Elsewhere) -> Path:
    """An Erdas Imagine file whose pixels lie in a file elsewhere."""
    file = saved_as(own, "HFA", f"{'spilled' * 12}.img", USE_SPILL="YES")
    saved_as(there.folder, "HFA", "pixels.img", USE_SPILL="YES")
    pixels = there.folder / "pixels.ige"
    content = pixels.read_bytes()
    pixels.write_bytes(content.replace(bytes([OWN]) * 64, bytes([SECRET]) * 64))
    old = file.with_suffix(".ige").name.encode()
    new = os.path.relpath(pixels, own).encode().ljust(len(old), b"\0")
    assert len(new) == len(old)
    file.write_bytes(file.read_bytes().replace(old, new))
    file.with_suffix(".ige").unlink()
    return file


RASTERS["img: pixels elsewhere"] = _imagine
RASTERS["a link"] = lambda own, there: link(own / "linked.tif", there.tif)


# Lists of files and addresses under honest and false names.

LISTS: dict[str, Callable[[Elsewhere], str]] = {
    "VRT": lambda e: vrt(e.tif),
    "VRT of an address": lambda e: vrt(f"/vsicurl/{e.address}/x.tif"),
    "WMS": lambda e: (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{e.address}/${{z}}</ServerUrl></Service>'
        f"<DataWindow><SizeX>{SIDE}</SizeX><SizeY>{SIDE}</SizeY></DataWindow></GDAL_WMS>"
    ),
    "WMTS": lambda e: (
        f"<GDAL_WMTS><GetCapabilitiesUrl>{e.address}</GetCapabilitiesUrl></GDAL_WMTS>"
    ),
    "MRF": lambda e: (
        f'<MRF_META><Raster><Size x="{SIDE}" y="{SIDE}" c="1"/><DataFile>{e.tif}</DataFile>'
        "</Raster></MRF_META>"
    ),
    "GTI": lambda e: (
        f"<GDALTileIndexDataset><IndexDataset>{e.csv}</IndexDataset></GDALTileIndexDataset>"
    ),
    "GDALG": lambda e: json.dumps(
        {"type": "gdal_streamed_alg", "command_line": f"gdal raster pipeline ! read {e.tif}"}
    ),
    "STACIT": lambda e: json.dumps(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "assets": {"a": {"href": e.tif, "proj:epsg": 32632}},
        }
    ),
    "DIMAP": lambda e: (
        f"<Dimap_Document><Data_Access><Data_File><DATA_FILE_PATH href='{e.tif}'/>"
        "</Data_File></Data_Access></Dimap_Document>"
    ),
}


def _list(name: str, suffix: str) -> Maker:
    stem = name.replace(" ", "_")
    return lambda own, there: written(own / f"{stem}.{suffix}", LISTS[name](there))


for _name in LISTS:
    RASTERS[f"{_name} called tif"] = _list(_name, "tif")
for _suffix in ("vrt", "png", "img", "jp2"):
    RASTERS[f"VRT called {_suffix}"] = _list("VRT", _suffix)
