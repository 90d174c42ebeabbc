"""Crafted files that try to make GDAL read a file elsewhere or ask an address.

Each maker writes its files into a folder and returns the one that is handed in.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapely
from rasterio.crs import CRS

from tests.rasters import UTM, write_raster

SIDE = 300  # pixels of the rasters; tiles of 256 need an overview
OWN, SECRET = 7, 201  # the value of every pixel
WORD = "TOPSECRET-41"


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """What must not be reached. folder: outside the roots. address: of a listening socket."""

    folder: Path
    address: str

    def __post_init__(self) -> None:
        raster(self.folder, "secret.tif", SECRET, SIDE // 2)
        raster(self.folder, "small.tif", SECRET, SIDE // 4)
        raster(self.folder, "whole.tif", SECRET, SIDE)
        (self.folder / "secret.tfw").write_text("1\n0\n0\n-1\n41\n41\n")
        ring = list(shapely.box(500_010, 4_999_900, 500_030, 4_999_950).exterior.coords)
        text = ", ".join(f"{x} {y}" for x, y in ring)
        (self.folder / "secret.csv").write_text(f'id,WKT,note\n1,"POLYGON(({text}))",{WORD}\n')
        (self.folder / "secret.prj").write_text(CRS.from_epsg(25833).to_wkt())
        (self.folder / "init").write_text("<11> +proj=utm +zone=33 +datum=WGS84 <>\n")
        (self.folder / "secret.aux.xml").write_text(
            f"<PAMDataset><SRS>EPSG:25833</SRS><PAMRasterBand band='1'><Description>{WORD}"
            "</Description></PAMRasterBand></PAMDataset>"
        )

    @property
    def tif(self) -> str:
        return str(self.folder / "secret.tif")

    @property
    def csv(self) -> str:
        return str(self.folder / "secret.csv")


Maker = Callable[[Path, Elsewhere], Path]


def raster(folder: Path, name: str, value: int = OWN, side: int = SIDE, count: int = 1) -> Path:
    return Path(write_raster(folder / name, np.full((count, side, side), value, np.uint8), **UTM))


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def link(file: Path, target: str) -> Path:
    file.symlink_to(target)
    return file
