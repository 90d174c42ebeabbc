"""Objects in files of every format, as other programs write them: nothing here is ours.

Each writer gets a folder that holds images/scene.tif, and objects as `Drawn` has them. It returns
the data SPEC and the file to import, or None where its format cannot hold them.
"""

import dataclasses
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import shapely
from PIL import Image
from pycocotools import mask as coco_mask
from pyogrio import raw
from rasterio.transform import Affine
from scipy import ndimage

from tests.rasters import write_raster

H, W = 60, 90
EAST, NORTH = 500_000, 5_000_000
GRID = {"crs": "EPSG:32632", "transform": Affine(1, 0, EAST, 0, -1, NORTH)}


@dataclasses.dataclass(frozen=True)
class Drawn:
    """parts: polygons in pixels. covered: bool [H, W], the pixels that the object covers."""

    parts: Sequence[shapely.Polygon]
    covered: np.ndarray
    category: str = "roof"


class Written(NamedTuple):
    spec: str
    file: Path
    kind: str | None = None  # of a mask


Writer = Callable[[Path, Sequence[Drawn]], Written | None]


def scene(folder: Path, **profile: Any) -> Path:
    """images/scene.tif, a metre a pixel."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    bands = np.random.default_rng(0).integers(1, 255, (3, H, W), np.uint8)
    return Path(write_raster(folder / "images" / "scene.tif", bands, **(GRID | profile)))


def coco_file(folder: Path, annotations: Sequence[dict[str, Any]], **more: Any) -> Written:
    image = {"id": 1, "file_name": "scene.tif", "width": W, "height": H}
    content = {
        "images": [image],
        "categories": [{"id": 1, "name": "roof"}, {"id": 2, "name": "tank"}],
        "annotations": list(annotations),
    }
    (folder / "a.json").write_text(json.dumps(content | more), encoding="utf-8")
    return Written(f"coco:{folder / 'images'},{folder / 'a.json'}", folder / "a.json")


def annotation(number: int, shape: Any, category: int = 1, **more: Any) -> dict[str, Any]:
    about = {"id": number, "image_id": 1, "category_id": category, "segmentation": shape}
    return about | more


def coco_polygons(folder: Path, objects: Sequence[Drawn]) -> Written:
    shapes = [
        [
            np.array(ring.coords)[:-1].ravel().tolist()
            for part in drawn.parts
            for ring in (part.exterior, *part.interiors)
        ]
        for drawn in objects
    ]
    return coco_file(folder, [annotation(i, s, _code(o)) for i, s, o in _listed(shapes, objects)])


def coco_runs(folder: Path, objects: Sequence[Drawn]) -> Written:
    shapes = []
    for drawn in objects:
        rle = coco_mask.encode(np.asfortranarray(drawn.covered, np.uint8))
        shapes.append({"size": [H, W], "counts": rle["counts"].decode()})
    return coco_file(folder, [annotation(i, s, _code(o)) for i, s, o in _listed(shapes, objects)])


def vector_file(
    file: Path,
    shapes: Sequence[Any],
    columns: dict[str, Any] | None = None,
    crs: str = GRID["crs"],
    kind: str = "Unknown",
) -> Path:
    """Geometries, or well-known binary, that lie in a system."""
    drivers = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}
    wkb = [shape if isinstance(shape, bytes) else shapely.to_wkb(shape) for shape in shapes]
    columns = columns or {}
    raw.write(
        file,
        np.array(wkb, object),
        [np.array(values) for values in columns.values()],
        np.array(list(columns), object),
        driver=drivers[file.suffix],
        geometry_type=kind,
        crs=crs,
    )
    return file


def on_ground(shape: Any) -> Any:
    return shapely.transform(shape, lambda xy: np.stack([EAST + xy[:, 0], NORTH - xy[:, 1]], -1))


def _vectors(ending: str, kind: str) -> Writer:
    def write(folder: Path, objects: Sequence[Drawn]) -> Written:
        shapes = [on_ground(shapely.MultiPolygon(list(drawn.parts))) for drawn in objects]
        columns = {"id": range(1, len(objects) + 1), "class": [o.category for o in objects]}
        columns = {name: list(values) for name, values in columns.items()}
        file = vector_file(folder / f"v{ending}", shapes, columns, kind=kind)
        return Written(f"geo:{folder / 'images' / 'scene.tif'},{file}", file)

    return write


def ids_tif(folder: Path, objects: Sequence[Drawn]) -> Written:
    """Objects that overlap lie in bands of their own."""
    overlap = sum(drawn.covered.astype(int) for drawn in objects).max() > 1
    bands = np.zeros((len(objects) if overlap else 1, H, W), np.uint16)
    for number, drawn in enumerate(objects, start=1):
        bands[number - 1 if overlap else 0][drawn.covered] = number
    return mask_file(folder, "instances", "ids", bands)


def ids_png(folder: Path, objects: Sequence[Drawn]) -> Written | None:
    if sum(drawn.covered.astype(int) for drawn in objects).max() > 1:
        return None
    ids = sum(number * drawn.covered for number, drawn in enumerate(objects, start=1))
    return picture_mask(folder, "instances", "ids", np.asarray(ids, np.uint8))


def classes_png(folder: Path, objects: Sequence[Drawn]) -> Written:
    """0, 1 for roofs, 2 for tanks; later objects lie on earlier ones."""
    codes = np.zeros((H, W), np.uint8)
    for drawn in objects:
        codes[drawn.covered] = _code(drawn)
    return picture_mask(folder, "classes", "classes", codes, ",class=1")


def mask_file(
    folder: Path, source: str, kind: str, bands: np.ndarray, option: str = "", **profile: Any
) -> Written:
    (folder / "masks").mkdir(exist_ok=True)
    about = {"count": len(bands), "height": H, "width": W, "dtype": bands.dtype} | GRID
    with rasterio.open(folder / "masks" / "scene.tif", "w", driver="GTiff", **about | profile) as f:
        f.write(bands)
    return _mask(folder, source, kind, "scene.tif", option)


def picture_mask(
    folder: Path, source: str, kind: str, pixels: np.ndarray, option: str = ""
) -> Written:
    (folder / "masks").mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / "masks" / "scene.png")
    return _mask(folder, source, kind, "scene.png", option)


def _mask(folder: Path, source: str, kind: str, name: str, option: str) -> Written:
    spec = f"{source}:{folder / 'images'},{folder / 'masks'}{option}"
    return Written(spec, folder / "masks" / name, kind)


def yolo(folder: Path, objects: Sequence[Drawn]) -> Written | None:
    """A ring an object: no parts and no holes."""
    if any(len(o.parts) > 1 or o.parts[0].interiors for o in objects):
        return None
    (folder / "labels").mkdir(exist_ok=True)
    lines = []
    for drawn in objects:
        corners = (np.array(drawn.parts[0].exterior.coords)[:-1] / [W, H]).ravel()
        lines.append(f"{_code(drawn) - 1} {' '.join(f'{value:.8f}' for value in corners)}\n")
    return yolo_files(folder, "".join(lines))


def yolo_files(folder: Path, text: str, about: str = "names: [roof, tank]") -> Written:
    """labels/scene.txt and data.yaml; and both as a zip, as the annotator takes them."""
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / "scene.txt").write_text(text)
    (folder / "data.yaml").write_text(about)
    with zipfile.ZipFile(folder / "yolo.zip", "w") as archive:
        for name in ("labels/scene.txt", "data.yaml"):
            archive.write(folder / name, name)
    return Written(f"yolo:{folder / 'images'},{folder / 'labels'}", folder / "yolo.zip")


WRITERS: dict[str, Writer] = {
    "COCO polygons": coco_polygons,
    "COCO RLE": coco_runs,
    "GeoPackage": _vectors(".gpkg", "Unknown"),
    "GeoJSON": _vectors(".geojson", "Unknown"),
    "Shapefile": _vectors(".shp", "MultiPolygon"),
    "YOLO": yolo,
    "ids TIFF": ids_tif,
    "ids PNG": ids_png,
    "classes PNG": classes_png,
}


def regions(objects: Sequence[Drawn], category: str) -> list[np.ndarray]:
    """What a mask of classes has of objects: regions that touch at a side or a corner."""
    on_top = np.full((H, W), "", object)
    for drawn in objects:
        on_top[drawn.covered] = drawn.category
    labels, count = ndimage.label(on_top == category, np.ones((3, 3)))
    return [labels == number for number in range(1, count + 1)]


def _code(drawn: Drawn) -> int:
    return {"roof": 1, "tank": 2}[drawn.category]


def _listed(shapes: Sequence[Any], objects: Sequence[Drawn]) -> list[tuple[int, Any, Drawn]]:
    return [(i, *pair) for i, pair in enumerate(zip(shapes, objects, strict=True), start=1)]
