"""Every format and every situation that files of other programs come in, read twice: the table.

Each file is read through `data`, as for training, and by the annotator's import. Masks, classes and
ids are equal, and what they are told to be here. docs/formats.md shows the table that comes of it;
`python -m tests.test_formats_table` writes it there.
"""

import json
import struct
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely
from PIL import Image
from pycocotools import mask as coco_mask
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from rsisrefiner_jax.errors import UserError
from tests import foreign_files as files
from tests.both_readers import Found, alike, areas, imported, read, trained
from tests.foreign_files import GRID, WRITERS, Drawn, H, W, Written, annotation
from tests.test_formats_round_trip import LOST

DOCS = Path(__file__).parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- written by tests/test_formats_table.py -->\n", "<!-- end -->\n"
Y, X = np.mgrid[:H, :W] + 0.5


def square(x, y, side):
    return shapely.box(x, y, x + side, y + side)


def inside(shape):
    """bool [H, W]: the pixels whose centres lie in a shape."""
    return shapely.contains_xy(shape, X, Y)


def drawn(*parts, covered=None, category="roof"):
    """An object; by default it covers what any of its parts does."""
    if covered is None:
        covered = np.any([inside(part) for part in parts], axis=0)
    return Drawn(parts, covered, category)


A, B, C = square(10, 10, 20), square(20, 20, 20), square(15, 15, 10)
D = square(18, 18, 4)
FAR = square(60, 10, 12)
BEYOND = shapely.Polygon([(-40, -10), (60, 30), (-40, 70)])
HOLED = shapely.Polygon(A.exterior, [C.exterior])
STAIRS = [square(10 + i, 10 + i, 1) for i in range(18)]

SITUATIONS: dict[str, list[Drawn]] = {
    "two objects": [drawn(A), drawn(FAR, category="tank")],
    "two parts that overlap": [drawn(A, B)],
    "a part inside another": [drawn(A, C, covered=inside(A) & ~inside(C))],
    "a hole": [drawn(HOLED, covered=inside(A) & ~inside(C))],
    "a part in a hole": [drawn(A, C, D, covered=inside(A) & ~inside(C) | inside(D))],
    "the same part twice": [drawn(A, A)],
    "parts that touch at corners": [drawn(*STAIRS)],
    "beyond the border": [drawn(BEYOND)],
    "objects that overlap": [drawn(A), drawn(B, category="tank")],
    "a ring that crosses itself": [
        drawn(
            shapely.Polygon([(10, 10), (30, 29), (30, 10), (10, 29)]),
            covered=inside(shapely.Polygon([(10, 10), (20, 19.5), (10, 29)]))
            | inside(shapely.Polygon([(30, 10), (20, 19.5), (30, 29)])),
        )
    ],
}


def expected(writer: str, objects: Sequence[Drawn]) -> Found:
    if writer == "classes PNG":  # the roofs alone
        found = [("1", mask) for mask in files.regions(objects, "roof")]
        return dict(enumerate(found, start=1))
    known = writer not in ("ids TIFF", "ids PNG")  # these have no classes
    covered = as_coco_fills if writer == "COCO polygons" else lambda own: own.covered
    return {
        number: (own.category if known else "", covered(own))
        for number, own in enumerate(objects, start=1)
    }


def as_coco_fills(own: Drawn) -> np.ndarray:
    """Slanting edges as pycocotools fills them, which defines what a COCO polygon covers."""
    if len(own.parts) > 1 or own.parts[0].interiors:
        return own.covered
    ring = np.array(own.parts[0].exterior.coords)[:-1].ravel().tolist()
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([ring], H, W))).view(bool)


def both(picture: Path, written: Written) -> Found:
    """The objects of a file, on which both readers agree."""
    found = trained(written.spec)
    again = imported(picture, written.file, written.kind)
    if written.kind == "classes":
        again = {i: own for i, own in enumerate(again.values(), 1) if own[0] == "1"}
    alike(found, again)
    return found


def cell(found: Found) -> str:
    return " + ".join(str(area) for area in areas(found).values()) or "none"


def matrix(folder: Path) -> list[list[str]]:
    """A row a situation, a cell a format: the pixels of each object, or that it cannot hold it."""
    rows = []
    for i, (situation, objects) in enumerate(SITUATIONS.items()):
        row = [situation]
        for writer, write in WRITERS.items():
            here = folder / f"{i} {writer}"
            picture = files.scene(here)
            written = write(here, objects)
            if written is None:
                row.append("-")
                continue
            found = both(picture, written)
            alike(expected(writer, objects), found)
            row.append(cell(found))
        rows.append(row)
    return rows


# Situations of one format. Each writes a file into a folder with a scene and says what is in it:
# of each object, by its id, its class and its pixels.
Case = Callable[[Path], tuple[Written, dict[int, tuple[str, int]]]]
CASES: dict[tuple[str, str], Case] = {}
RING = [10, 10, 30, 10, 30, 30, 10, 30]
ROOF = {1: ("roof", 400)}


def case(kind: str, situation: str) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        CASES[kind, situation] = function
        return function

    return add


def coco(situation: str, expected: dict[int, tuple[str, int]], *annotations, **more) -> None:
    CASES["COCO", situation] = lambda folder: (
        files.coco_file(folder, annotations, **more),
        expected,
    )


def named(name: str) -> list[dict]:
    return [{"id": 1, "file_name": name, "width": W, "height": H}]


FLAT_RUNS = [W * H - 500, 500]
CROWD = coco_mask.encode(np.asfortranarray(np.eye(H, W, dtype=np.uint8)))["counts"].decode()
coco(
    "a crowd region",
    ROOF,
    annotation(1, [RING]),
    annotation(2, {"size": [H, W], "counts": CROWD}, iscrowd=1),
)
coco(
    "sizes and ids as text",
    {7: ("roof", 400)},
    annotation("7", [RING], image_id="1", category_id="1"),
    images=[{"id": "1", "file_name": "scene.tif", "width": str(W), "height": str(H)}],
)
coco(
    "a category without a name",
    {1: ("", 400), 2: ("tank", 400)},
    annotation(1, [RING]),
    annotation(2, [RING], 2),
    categories=[{"id": 1}, {"id": 2, "name": "tank"}],
)
coco("a flat list of corners", ROOF, annotation(1, RING))
coco("run lengths where corners belong", ROOF, annotation(1, [RING]), annotation(2, [FLAT_RUNS]))
for NAME in (r"images\scene.tif", r"C:\data\scene.tif", "/data/train/scene.tif", "scen%65.tif"):
    coco(f"the picture is called `{NAME}`", ROOF, annotation(1, [RING]), images=named(NAME))


@case("COCO", "an umlaut stored as two letters")
def _(folder):
    (folder / "images" / "scene.tif").rename(folder / "images" / "höhe.tif")
    name = unicodedata.normalize("NFD", "höhe.tif")
    return files.coco_file(folder, [annotation(1, [RING])], images=named(name)), ROOF


def some_ids(dtype):
    ids = np.zeros((H, W), dtype)
    ids[2:6, 2:6] = 3
    ids[10:20, 10:30] = 200
    return ids


IDS = {3: ("", 16), 200: ("", 200)}
for DTYPE in ("int16", "int32", "uint32", "float32"):
    CASES["ids TIFF", f"numbers of type {DTYPE}"] = lambda folder, dtype=DTYPE: (
        files.mask_file(folder, "instances", "ids", some_ids(dtype)[None]),
        IDS,
    )


@case("ids TIFF", "no data: declared, negative")
def _(folder):
    ids = some_ids(np.int32)
    ids[:, 80:85], ids[:, 85:] = -1, 9999
    return files.mask_file(folder, "instances", "ids", ids[None], nodata=9999), IDS


@case("ids PNG", "colours: R + 256 G + 65536 B")
def _(folder):
    pixels = np.zeros((H, W, 3), np.uint8)
    for number, colour in enumerate([(1, 0, 0), (0, 1, 0), (44, 1, 0), (5, 0, 2)]):
        pixels[2:6, 6 * number : 6 * number + 4] = colour
    ids = {id: ("", 16) for id in (1, 256, 300, 5 + 2 * 65536)}
    return files.picture_mask(folder, "instances", "ids", pixels), ids


@case("ids PNG", "grey and alpha")
def _(folder):
    pixels = np.dstack([some_ids(np.uint8), np.full((H, W), 255, np.uint8)])
    pixels[20:] = (9, 0)
    return files.picture_mask(folder, "instances", "ids", pixels), IDS


@case("ids PNG", "layers in several files")
def _(folder):
    (folder / "masks").mkdir()
    other = np.zeros((H, W), np.uint8)
    other[15:25, 15:25] = 7
    for name, layer in (("scene_ids", some_ids(np.uint8)), ("scene_ids_2", other)):
        Image.fromarray(layer).save(folder / "masks" / f"{name}.png")
    spec = f"instances:{folder / 'images'},{folder / 'masks'}"
    return Written(spec, folder / "masks" / "scene_ids.png", "ids"), IDS | {7: ("", 100)}


@case("classes PNG", "a corner contact, a diagonal")
def _(folder):
    mask = np.zeros((H, W), np.uint8)
    mask[2:5, 2:5] = mask[5:8, 5:8] = 1
    mask[10:28, 10:28][np.eye(18, dtype=bool)] = 1
    mask[0, 39] = 1
    mask[40:, 30:] = 5
    found = {1: ("1", 1), 2: ("1", 18), 3: ("1", 18)}
    return files.picture_mask(folder, "classes", "classes", mask, ",class=1"), found


def vectors(folder, ending, shapes, columns=None, raster=None, **about):
    file = files.vector_file(folder / f"v{ending}", shapes, columns, **about)
    return Written(f"geo:{raster or folder / 'images' / 'scene.tif'},{file}", file)


SHAPES = [files.on_ground(square(5, 5, 9)), files.on_ground(square(30, 5, 9))]
for SITUATION, COLUMNS, NAMES in (
    ("`class_name` beside `name`", {"class_name": ["a", "b"], "name": ["x", "y"]}, "ab"),
    ("`name` alone names places", {"name": ["x", "y"]}, ["", ""]),
    ("class numbers", {"Label": [3.0, 4.0]}, "34"),
    ("`unclassified`", {"category": ["unclassified", "b"]}, ["", "b"]),
):
    CASES["GeoPackage", SITUATION] = lambda folder, columns=COLUMNS, names=NAMES: (
        vectors(folder, ".gpkg", SHAPES, columns),
        {1: (names[0], 81), 2: (names[1], 81)},
    )
for SITUATION, VALUES, KEPT in (
    ("ids as text", ["7", "9"], (7, 9)),
    ("an id twice", [7, 7], (1, 2)),
    ("an id of 0", [0, 5], (1, 2)),
):
    CASES["GeoPackage", SITUATION] = lambda folder, values=VALUES, kept=KEPT: (
        vectors(folder, ".gpkg", SHAPES, {"id": values}),
        {id: ("", 81) for id in kept},
    )


@case("GeoPackage", "a ring that is not closed")
def _(folder):
    corners = np.array(files.on_ground(A).exterior.coords)[:4]
    wkb = struct.pack("<BIII", 1, 3, 1, 4) + corners.astype("<f8").tobytes()
    return vectors(folder, ".gpkg", [wkb]), {1: ("", 400)}


@case("GeoPackage", "a hole as large as its shell")
def _(folder):
    shape = shapely.Polygon(A.exterior, [A.exterior])
    shapes = [files.on_ground(shape), files.on_ground(FAR)]
    return vectors(folder, ".gpkg", shapes), {2: ("", 144)}


@case("GeoPackage", "a raster placed by control points")
def _(folder):
    places = [(x, y) for x in (0, W / 3, W) for y in (0, H / 3, H)]
    points = [GroundControlPoint(y, x, *(GRID["transform"] @ (x, y))) for x, y in places]
    files.scene(folder, gcps=points, transform=None)
    return vectors(folder, ".gpkg", [files.on_ground(A)]), {1: ("", 400)}


@case("GeoPackage", "a raster across 180 degrees")
def _(folder):
    files.scene(folder, crs="EPSG:4326", transform=Affine(1e-3, 0, 179.955, 0, -1e-3, 10))
    shapes = [shapely.box(x, 9.97, x + 0.01, 9.98) for x in (179.975, 180.005, -179.985)]
    found = vectors(folder, ".gpkg", shapes, crs="EPSG:4326")
    return found, {number: ("", 100) for number in (1, 2, 3)}


@case("GeoJSON", "`FeatureCollection` said at the end")
def _(folder):
    files.scene(folder, crs=None, transform=Affine.identity())
    feature = {"type": "Feature", "properties": {"note": "x" * 5000}}
    feature["geometry"] = shapely.geometry.mapping(A)
    content = {"features": [feature], "type": "FeatureCollection"}
    (folder / "v.json").write_text(json.dumps(content))
    spec = f"geo:{folder / 'images' / 'scene.tif'},{folder / 'v.json'}"
    return Written(spec, folder / "v.json"), {1: ("", 400)}


@case("Shapefile", "no index (.shx)")
def _(folder):
    found = vectors(folder, ".shp", [files.on_ground(A)], kind="Polygon")
    (folder / "v.shx").unlink()
    return found, {1: ("", 400)}


@case("YOLO", "numbers that no file names")
def _(folder):
    corners = " ".join(f"{v / s:.8f}" for v, s in zip(RING, [W, H] * 4, strict=True))
    return files.yolo_files(folder, f"0 {corners}\n5 {corners}\n", "names: {0: roof}"), {
        1: ("roof", 400),
        2: ("5", 400),
    }


def cases(folder: Path) -> list[list[str]]:
    """A row a situation of one format."""
    rows = []
    for number, ((kind, situation), write) in enumerate(CASES.items()):
        here = folder / str(number)
        files.scene(here)
        written, told = write(here)
        (picture,) = (here / "images").iterdir()
        found = both(picture, written)
        assert {id: (name, int(mask.sum())) for id, (name, mask) in found.items()} == told, (
            kind,
            situation,
        )
        ids = ", ".join(map(str, found))
        names = ", ".join(dict.fromkeys(name or "none" for name, _ in found.values()))
        rows.append([kind, situation, ids, names, cell(found)])
    return rows


# What is refused or doubted: words of the message in training and in the annotator, "" where one of
# them has nothing to say.
Said = tuple[Written, str, str]
REFUSALS: dict[tuple[str, str], Callable[[Path], Said]] = {}


def refusal(kind: str, situation: str) -> Callable[[Callable[[Path], Said]], None]:
    def add(function: Callable[[Path], Said]) -> None:
        REFUSALS[kind, situation] = function

    return add


@refusal("any raster", "netCDF")
def _(folder):
    (folder / "images" / "scene.tif").unlink()
    (folder / "images" / "scene.nc").write_bytes(b"CDF\x01" + bytes(100))
    found = vectors(folder, ".gpkg", SHAPES, raster=folder / "images" / "scene.nc")
    words = "netCDF files are not read as rasters; make it a GeoTIFF with gdal_translate"
    return found, words, words


@refusal("any raster", "a system but no transform")
def _(folder):
    files.scene(folder, transform=Affine.identity())
    words = "states a coordinate reference system but no transform"
    return vectors(folder, ".gpkg", SHAPES), words, words


@refusal("GeoPackage", "degrees on a raster without a system")
def _(folder):
    files.scene(folder, crs=None)
    words = "states no coordinate reference system; assign one"
    shapes = [shapely.box(9, 45, 9.1, 45.1)]
    return vectors(folder, ".gpkg", shapes, crs="EPSG:4326"), words, words


@refusal("ids TIFF", "numbers that are not whole")
def _(folder):
    words = "values are float32 and not whole numbers"
    halves = some_ids(np.float32)[None] / 2 + 0.25
    return files.mask_file(folder, "instances", "ids", halves), words, words


@refusal("ids TIFF", "a mask that lies 100 m away")
def _(folder):
    there = GRID["transform"] @ Affine.translation(100, 0)
    found = files.mask_file(folder, "instances", "ids", some_ids(np.uint8)[None], transform=there)
    return found, "", "its georeference places it 100 pixels away"


@refusal("COCO", "of another picture")
def _(folder):
    found = files.coco_file(folder, [annotation(1, [RING])], images=named("other.tif"))
    return found, "other.tif is not there", "is about an image called other.tif"


@refusal("YOLO", "labels of another picture")
def _(folder):
    written = files.yolo_files(folder, "")
    (folder / "labels" / "scene.txt").rename(folder / "labels" / "other.txt")
    with zipfile.ZipFile(written.file, "w") as archive:
        for name in ("one", "two"):
            archive.writestr(f"labels/{name}.txt", "")
    return written, "no labels for the pictures", "no labels called scene.txt"


@refusal("Shapefile", "two in one zip")
def _(folder):
    for name in ("屋顶", "道路"):
        files.vector_file(folder / f"{name}.shp", SHAPES, kind="Polygon")
    with zipfile.ZipFile(folder / "v.zip", "w") as archive:
        for part in folder.glob("*.*"):
            if part.suffix in (".shp", ".shx", ".dbf"):
                archive.write(part, part.name)
    return Written("", folder / "v.zip"), "", "it holds several shapefiles; send one at a time"


def refusals(folder: Path) -> list[list[str]]:
    rows = []
    for number, ((kind, situation), write) in enumerate(REFUSALS.items()):
        here = folder / str(number)
        files.scene(here)
        written, training, annotator = write(here)
        (picture,) = (here / "images").iterdir()
        if written.spec:
            assert training in _told(lambda spec=written.spec: trained(spec) and ""), situation
        assert annotator in _told(
            lambda p=picture, w=written: "; ".join(read(p, w.file, w.kind).doubts)
        ), situation
        rows.append([kind, situation, training or "-", annotator])
    return rows


def _told(run: Callable[[], str]) -> str:
    """What is said of a file: a refusal, or doubts."""
    try:
        return run() or ""
    except UserError as error:
        return str(error)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def document(folder: Path) -> str:
    """What stands in docs/formats.md between the marks."""
    return (
        "Pixels of each object; - where the format cannot hold it.\n\n"
        + table(["", *WRITERS], matrix(folder / "matrix"))
        + "\n"
        + table(["file", "situation", "ids", "classes", "pixels"], cases(folder / "cases"))
        + "\nWhat is refused, or doubted:\n\n"
        + table(["file", "situation", "training", "annotator"], refusals(folder / "refusals"))
    )


def test_the_table_in_the_documentation_is_what_is_read(tmp_path):
    whole = DOCS.read_text(encoding="utf-8")
    shown = whole.split(BEGIN)[1].split(END)[0].strip()
    assert shown == document(tmp_path).strip(), "write it with python -m tests.test_formats_table"


def test_the_table_of_exports_is_what_comes_back():
    """Of every export: what it keeps, as test_formats_round_trip finds it."""
    rows = [line.strip("| ").split(" | ") for line in DOCS.read_text().splitlines() if "| " in line]
    start = next(i for i, row in enumerate(rows) if row[0].strip() == "export")
    told = {}
    for names, ids, classes, _, overlaps, parts in rows[start + 1 :]:
        for name in names.split(", "):
            told[name.strip()] = {
                what
                for what, text in (
                    ("ids", ids),
                    ("classes", classes),
                    ("overlap", overlaps),
                    ("regions", parts),
                )
                if not text.startswith(("yes", "to "))
            }
    assert told == LOST


if __name__ == "__main__":
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    with tempfile.TemporaryDirectory() as made:
        new = document(Path(made))
    DOCS.write_text(f"{before}{BEGIN}{new}{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.exit(0)
