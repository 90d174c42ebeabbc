"""Vector files of other programs: the same objects in training and in the annotator."""

import json
import re
import struct
import zipfile

import numpy as np
import pytest

pytest.importorskip("fastapi")
import shapely
from pyogrio import raw
from rasterio.transform import Affine

from rsisrefiner_jax.data.geo import GeoSource
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import georeference
from rsisrefiner_jax.formats.raster_info import open_raster
from rsisrefiner_jax.formats.vector_writing import cut_at_antimeridian
from tests.both_readers import alike, areas, imported, read, trained
from tests.rasters import write_raster

H, W = 60, 90
GRID = {"crs": "EPSG:32632", "transform": Affine(1, 0, 500_000, 0, -1, 5_000_000)}


@pytest.fixture
def scene(tmp_path):
    """Writes a raster; by default of a metre a pixel, so that (x, y) lies at (500000 + x, ...)."""

    def write(**profile):
        bands = np.random.default_rng(0).integers(1, 255, (3, H, W), np.uint8)
        write_raster(tmp_path / "scene.tif", bands, **(GRID | profile))
        return tmp_path / "scene.tif"

    return write


def placed(shape):
    return shapely.transform(shape, lambda xy: np.stack([500_000 + xy[:, 0], 5e6 - xy[:, 1]], -1))


def write(path, shapes, columns=None, crs="EPSG:32632", kind="Unknown"):
    """Geometries (or well-known binary) on the ground as GeoPackage, Shapefile or GeoJSON."""
    drivers = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}
    wkb = [shape if isinstance(shape, bytes) else shapely.to_wkb(shape) for shape in shapes]
    columns = columns or {}
    raw.write(
        path,
        np.array(wkb, object),
        [np.array(values) for values in columns.values()],
        np.array(list(columns), object),
        driver=drivers[path.suffix],
        geometry_type=kind,
        crs=crs,
    )
    return path


def both(raster, path, **about):
    found = trained(f"geo:{raster},{path}")
    alike(found, imported(raster, path))
    return found


def square(x, y, side):
    return shapely.box(x, y, x + side, y + side)


def test_parts_are_united_and_parts_inside_are_holes(scene, tmp_path):
    hole = shapely.Polygon(square(5, 5, 20).exterior, [square(10, 10, 5).exterior])
    shapes = [
        shapely.MultiPolygon([square(5, 5, 20), square(15, 15, 20)]),
        shapely.MultiPolygon([square(5, 5, 20), square(10, 10, 5)]),
        hole,
        shapely.Polygon(square(5, 5, 20).exterior, [square(5, 5, 20).exterior]),
        shapely.MultiPolygon([square(5, 5, 20), square(5, 5, 20)]),
        shapely.Polygon([(5, 5), (25, 25), (25, 5), (5, 25)]),  # a bow tie
    ]
    path = write(tmp_path / "v.gpkg", [placed(shape) for shape in shapes])
    found = areas(both(scene(), path))
    assert {id: found[id] for id in (1, 2, 3, 5)} == {1: 700, 2: 375, 3: 375, 5: 400}
    assert found.keys() == {1, 2, 3, 5, 6}  # 4: a hole as large as its shell
    assert found[6] == pytest.approx(200, abs=10)


def test_a_shapefile_of_clockwise_rings_keeps_its_hole(scene, tmp_path):
    path = write(tmp_path / "v.shp", [placed(square(5, 5, 20))], kind="Polygon")
    rings = [shapely.get_coordinates(placed(square(*of))) for of in ((5, 5, 20), (10, 10, 5))]
    rings = [ring[::-1] if shapely.is_ccw(shapely.LinearRing(ring)) else ring for ring in rings]
    points = np.concatenate(rings)
    box = [*points.min(0), *points.max(0)]
    content = struct.pack("<i4d4i", 5, *box, 2, len(points), 0, len(rings[0]))
    content += points.astype("<f8").tobytes()
    record = struct.pack(">2i", 1, len(content) // 2) + content
    head = bytearray((tmp_path / "v.shp").read_bytes()[:100])
    head[24:28] = struct.pack(">i", (100 + len(record)) // 2)
    path.write_bytes(bytes(head) + record)
    index = bytearray((tmp_path / "v.shx").read_bytes())
    index[104:108] = struct.pack(">i", len(content) // 2)
    (tmp_path / "v.shx").write_bytes(index)
    assert areas(both(scene(), path)) == {1: 375}


def test_rings_that_are_not_closed(scene, tmp_path):
    corners = np.array(placed(square(5, 5, 20)).exterior.coords)[:4]
    wkb = struct.pack("<BIII", 1, 3, 1, 4) + corners.astype("<f8").tobytes()
    assert areas(both(scene(), write(tmp_path / "v.gpkg", [wkb]))) == {1: 400}
    shape = {"type": "Polygon", "coordinates": [corners.tolist()]}
    name = {"type": "name", "properties": {"name": "EPSG:32632"}}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    content = {"type": "FeatureCollection", "crs": name, "features": [feature]}
    (tmp_path / "v.geojson").write_text(json.dumps(content))
    assert areas(both(scene(), tmp_path / "v.geojson")) == {1: 400}


def test_curves(scene, tmp_path):
    """A circle of arcs: read by way of many short lines."""
    points = placed(shapely.LineString([(10, 30), (30, 10), (50, 30), (30, 50), (10, 30)]))
    string = struct.pack("<BII", 1, 8, 5) + np.array(points.coords).astype("<f8").tobytes()
    curve = struct.pack("<BII", 1, 10, 1) + string
    surface = struct.pack("<BII", 1, 12, 1) + curve
    plain = placed(square(60, 10, 10))
    found = areas(both(scene(), write(tmp_path / "v.gpkg", [curve, plain, surface])))
    assert found[2] == 100
    assert found[1] == found[3] == pytest.approx(np.pi * 400, rel=0.01)


def test_beyond_the_border(scene, tmp_path):
    shape = shapely.Polygon([(-40, -10), (60, 30), (-40, 70)])
    found = both(scene(), write(tmp_path / "v.gpkg", [placed(shape)]))
    y, x = np.mgrid[:H, :W] + 0.5
    np.testing.assert_array_equal(found[1][1], shapely.contains_xy(shape, x, y))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"class_name": ["a", "b"], "name": ["x", "y"]}, ["a", "b"]),
        ({"name": ["x", "y"]}, ["", ""]),
        ({"Label": [3.0, 4.0]}, ["3", "4"]),
        ({"category": ["unclassified", "b"]}, ["", "b"]),
    ],
)
def test_class_columns(scene, tmp_path, columns, expected):
    path = write(tmp_path / "v.gpkg", [placed(square(5, 5, 9)), placed(square(30, 5, 9))], columns)
    assert [name for name, _ in both(scene(), path).values()] == expected
    field, (_, last) = next(iter(columns.items()))
    own = imported(tmp_path / "scene.tif", path, class_field=field)
    assert own[2][0] == (last if isinstance(last, str) else str(int(last)))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7, 9], [7, 9]),
        (["7", "9"], [7, 9]),
        ([7.0, 9.0], [7, 9]),
        ([7, 7], [1, 2]),
        ([0, 5], [1, 2]),
    ],
)
def test_ids_of_a_column(scene, tmp_path, ids, expected):
    shapes = [placed(square(5, 5, 9)), placed(square(30, 5, 9))]
    path = write(tmp_path / "v.gpkg", shapes, {"id": ids})
    assert list(both(scene(), path)) == expected


def test_a_collection_that_says_so_late(scene, tmp_path):
    shape = shapely.geometry.mapping(square(5, 5, 20))
    feature = {"type": "Feature", "properties": {"note": "x" * 5000}, "geometry": shape}
    text = json.dumps({"features": [feature], "type": "FeatureCollection"})
    (tmp_path / "v.json").write_text(text)
    raster = scene(crs=None, transform=Affine.identity())
    assert areas(both(raster, tmp_path / "v.json")) == {1: 400}


def test_degrees_on_a_raster_without_a_system(scene, tmp_path):
    raster = scene(crs=None)
    path = write(tmp_path / "v.geojson", [shapely.box(9, 45, 9.1, 45.1)], crs="EPSG:4326")
    reading = read(raster, path)
    assert (len(reading.items), reading.skipped) == (0, 1)
    assert "states no coordinate reference system" in reading.notes[-1]
    path = write(tmp_path / "v.gpkg", [shapely.box(9, 45, 9.1, 45.1)], crs="EPSG:4326")
    for get in (lambda: GeoSource(str(raster), str(path)), lambda: read(raster, path)):
        with pytest.raises(UserError, match=r"scene\.tif: states no coordinate reference system"):
            get()


def test_a_shapefile_without_its_index(scene, tmp_path):
    path = write(tmp_path / "v.shp", [placed(square(5, 5, 20))], kind="Polygon")
    (tmp_path / "v.shx").unlink()
    assert areas(both(scene(), path)) == {1: 400}
    assert not (tmp_path / "v.shx").exists()


def test_a_zip_of_names_in_another_script(scene, tmp_path):
    for name in ("屋顶", "道路"):
        write(tmp_path / f"{name}.shp", [placed(square(5, 5, 20))], kind="Polygon")
    for names, count in ((["屋顶"], 1), (["屋顶", "道路"], 2)):
        with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
            for part in tmp_path.iterdir():
                if part.stem in names:
                    archive.write(part, f"data/{part.name}")
        if count == 1:
            assert areas(imported(scene(), tmp_path / "v.zip")) == {1: 400}
        else:
            with pytest.raises(UserError, match="holds several shapefiles"):
                read(scene(), tmp_path / "v.zip")


def test_one_polygon_without_a_place_costs_only_itself(scene, tmp_path):
    beyond = shapely.box(0, -95, 20, 60)
    (x,), (y,) = _degrees(20, 20)
    good = shapely.box(x, y - 1e-5, x + 1e-4, y)
    path = write(tmp_path / "v.gpkg", [beyond, good], crs="EPSG:4326")
    raster = scene()
    assert list(both(raster, path)) == [2]
    assert GeoSource(str(raster), str(path)).left_out.number("object") == 1
    assert "cannot be converted" in read(raster, path).notes[-1]


def _degrees(x, y):
    from rasterio.warp import transform

    return transform("EPSG:32632", "EPSG:4326", [500_000 + x], [5e6 - y])


@pytest.mark.parametrize("off", [0.0, 0.3])
def test_ground_control_points_place_a_raster(scene, tmp_path, off, capsys):
    """Both readers take the transform that fits them, and say how well it does."""
    from rasterio.control import GroundControlPoint

    places = [(x, y) for x in (0, W / 3, W) for y in (0, H / 3, H)]
    shifts = [off * (-1) ** i for i in range(len(places))]
    points = [
        GroundControlPoint(y, x, *(GRID["transform"] @ (x + shift, y)))
        for (x, y), shift in zip(places, shifts, strict=True)
    ]
    raster = scene(crs=GRID["crs"], gcps=points, transform=None)
    info = open_raster(str(raster))
    assert str(info.crs) == GRID["crs"]
    assert info.transform == pytest.approx(tuple(GRID["transform"])[:6], abs=2e-3, rel=1e-6)
    worst = re.fullmatch(
        r"it is placed by its 9 ground control points, which fit to within (.*) pixels", info.hint
    )
    assert 0 <= float(worst[1]) - off < 0.2
    path = write(tmp_path / "v.gpkg", [placed(square(5, 5, 20))])
    assert areas(both(raster, path)) == {1: 400}
    assert f"note: {raster}: {info.hint}" in capsys.readouterr().err


@pytest.mark.parametrize("turn", [0, 360])
def test_a_raster_across_180_degrees(scene, tmp_path, turn):
    raster = scene(crs="EPSG:4326", transform=Affine(1e-3, 0, 179.955, 0, -1e-3, 10))
    left = [179.975, 180.005, -179.985 + turn]
    shapes = [shapely.box(x, 9.97, x + 0.01, 9.98) for x in left]
    found = areas(both(raster, write(tmp_path / "v.gpkg", shapes, crs="EPSG:4326")))
    assert found == {1: 100, 2: 100, 3: 100}


def test_objects_in_parts_across_180_degrees_on_utm(scene, tmp_path):
    """Longitudes are cut at 180, corners are added for no jump, and the pixels come back."""
    grid = Affine(100, 0, 829_400, 0, -100, 60_000)  # 180 degrees runs through column 45
    raster = scene(crs="EPSG:32660", transform=grid)
    info = open_raster(str(raster))
    parts = [square(10, 10, 10), square(60, 10, 10), shapely.box(30, 30, 60, 40)]
    shapes = [shapely.MultiPolygon(parts[:2]), parts[2], shapely.MultiPolygon(parts)]
    cut = cut_at_antimeridian(
        georeference.shapes_in_crs(info, shapes, georeference.WGS84), info.crs
    )
    for shape, number in zip(cut, (2, 2, 4), strict=True):
        found = shapely.get_parts(shape)
        assert len(found) == number
        assert all(part.bounds[2] - part.bounds[0] < 0.03 for part in found)
        assert len(shapely.get_coordinates(shape)) <= 8 * number
    path = write(tmp_path / "v.geojson", cut, crs="EPSG:4326")
    assert areas(both(raster, path)) == {1: 200, 2: 300, 3: 500}


def test_what_a_raster_says_of_its_place_without_a_transform(scene, tmp_path):
    """Points that do not fit, RPCs, or a system alone: not used, and the way out is named."""
    import rasterio
    from rasterio.control import GroundControlPoint
    from rasterio.rpc import RPC

    path = write(tmp_path / "v.gpkg", [placed(square(5, 5, 20))])
    bent = [GroundControlPoint(*p, p[1] / 1e3, -p[0] / 1e3) for p in ((0, 0), (0, W), (H, 0))]
    bent.append(GroundControlPoint(H, W, (W + 40) / 1e3, -H / 1e3))
    row = [GroundControlPoint(7, x, x / 1e3, x / 1e3) for x in range(0, W, 10)]
    numbers = dict.fromkeys(("line_num_coeff", "line_den_coeff", "samp_num_coeff"), [1.0] * 20)
    rpcs = RPC(
        **numbers,
        samp_den_coeff=[1.0] * 20,
        height_off=0,
        height_scale=1,
        lat_off=45,
        lat_scale=1,
        line_off=1,
        line_scale=1,
        long_off=9,
        long_scale=1,
        samp_off=1,
        samp_scale=1,
    )
    for about, words in (
        ({"gcps": bent, "crs": "EPSG:4326"}, "4 ground control points do not fit .* 8 pixels"),
        ({"gcps": row, "crs": "EPSG:4326"}, "9 ground control points no three form a triangle"),
        ({"rpcs": rpcs}, "RPCs"),
        ({"crs": "EPSG:32632"}, "but no transform"),
    ):
        profile = {"driver": "GTiff", "height": H, "width": W, "count": 1, "dtype": "uint8"}
        with rasterio.open(tmp_path / "scene.tif", "w", **profile, **about) as file:
            file.write(np.ones((1, H, W), np.uint8))
        info = open_raster(str(tmp_path / "scene.tif"))
        assert (info.crs, info.transform) == (None, None)
        assert re.search(words, info.hint)
        with pytest.raises(UserError, match=words):
            GeoSource(info.path, str(path))
        with pytest.raises(UserError, match=words):
            read(tmp_path / "scene.tif", path)
