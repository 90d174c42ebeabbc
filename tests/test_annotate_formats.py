"""Objects out to files and in again: the same pixels, ids, classes, attributes; valid outlines."""

import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("fastapi")
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from rasterio.features import rasterize
from rasterio.transform import Affine

from rsisrefiner_jax.annotate.rasters import open_checked
from rsisrefiner_jax.annotate.simplify_outlines import right_angled, simplified
from rsisrefiner_jax.formats import geometry, georeference, masks, rings
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating
from tests.annotating import HEIGHT, WIDTH

ATTRIBUTES = {"floors": 3, "height_m": 7.25, "note": "größer, älter", "flat": True}
GROUNDS = {
    "utm": {},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, -70.5, 0, -1e-4, -8.2)},
    "mercator": {"crs": "EPSG:3857", "transform": Affine(10, 0, 1e6, 0, -10, 8e6)},
    "coarse": {"crs": "EPSG:3035", "transform": Affine(1000, 0, 4e6, 0, -1000, 3e6)},
    "none": {"crs": None, "transform": Affine.identity()},
}


@pytest.fixture
def servers(tmp_path):
    """Makes two servers of one raster; the first one has objects."""
    opened = []

    def make(found, **profile):
        annotating.raster(tmp_path, **profile)
        for name in ("one", "other"):
            here = annotating.context(tmp_path, project=name)
            opened.append(here)
            here.project.add_image(tmp_path / "scene.tif")
        opened[0].project.import_objects(1, found)
        return [(annotating.client(here), here) for here in opened[-2:]]

    yield make
    for here in opened:
        here.project.close()


def carried(servers, name, **query):
    """Exports from the one server, imports into the other; (bytes, reply)."""
    (one, _), (other, _) = servers
    reply = one.get("/api/images/1/export", params={"format": name, **query})
    assert reply.status_code == 200, reply.text
    filename = reply.headers["content-disposition"].split('filename="')[1].rstrip('"')
    files = {"file": (filename, reply.content)}
    imported = other.post("/api/images/1/import", files=files, data={"repeated": "add"})
    assert imported.status_code == 200, imported.text
    return reply.content, imported.json()


def pixels(here):
    """id -> bool [h, w]."""
    return {o.id: o.mask.within(0, 0, WIDTH, HEIGHT) for o in here.project.objects(1)}


def same(one, other):
    assert one.keys() == other.keys()
    for id in one:
        np.testing.assert_array_equal(one[id], other[id])


@pytest.mark.parametrize("profile", GROUNDS.values(), ids=GROUNDS)
@pytest.mark.parametrize("name", ["coco", "coco-polygons", "gpkg", "geojson", "shp", "ids-tif"])
def test_formats_with_ids_carry_everything(servers, name, profile):
    found = annotating.items(annotating.shapes())
    for number, item in enumerate(found):
        item |= {"id": 10 * number + 3, "class": ["", "house", "lake"][number % 3]}
        item |= {"attributes": ATTRIBUTES if number % 2 else {}, "clicks": number}
    both = servers(found, **profile)
    _, reply = carried(both, name)
    assert reply == {"objects": len(found), "replaced": 0, "skipped": 0, "notes": []}
    (_, one), (_, other) = both
    same(pixels(one), pixels(other))
    if name == "ids-tif":
        return
    names = [{item.id: item.name for item in here.project.classes()} for _, here in both]
    for a, b in zip(one.project.objects(1), other.project.objects(1), strict=True):
        assert names[0].get(a.class_id) == names[1].get(b.class_id)
        assert (a.attributes, a.clicks) == (b.attributes, b.clicks)
        assert b.shape.is_valid
        assert a.shape.equals(b.shape) or name == "geojson"


@pytest.mark.parametrize("name", ["yolo", "classes-tif", "ids-png"])
def test_formats_with_less_carry_pixels(servers, name):
    found = annotating.items(annotating.shapes())
    for number, item in enumerate(found):
        item["class"] = f"class of {number}" if number else ""
    both = servers(found)
    carried(both, name)
    (_, one), (_, other) = both
    if name == "ids-png":
        return same(pixels(one), pixels(other))
    names = [{item.id: item.name for item in here.project.classes()} for _, here in both]
    union = []
    for (_, here), known in zip(both, names, strict=True):
        by_class = {}
        for object in here.project.objects(1):
            part = object.mask.within(0, 0, WIDTH, HEIGHT)
            key = known.get(object.class_id)
            by_class[key] = by_class.get(key, False) | part
        union.append(by_class)
    assert len(one.project.objects(1)) == len(other.project.objects(1)) or name == "classes-tif"
    same(*union)


@pytest.mark.parametrize("name", ["ids-tif", "ids-png"])
def test_ids_of_overlapping_objects(servers, name):
    whole = np.zeros((3, HEIGHT, WIDTH), bool)
    whole[0, 5:20, 5:30] = whole[1, 10:30, 20:40] = whole[2, 15:18, 10:35] = True
    both = servers(annotating.items([Mask(0, 0, m).trimmed() for m in whole]))
    if name == "ids-tif":
        carried(both, name)
        same(pixels(both[0][1]), pixels(both[1][1]))
    else:  # several files
        reply = both[0][0].get("/api/images/1/export", params={"format": name})
        with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
            assert len(archive.namelist()) == 3


def test_many_objects(servers):
    """500 on one raster, in every format that keeps them apart."""
    rng = np.random.default_rng(0)
    found = annotating.items([Mask(0, 0, rng.random((5, 4)) < 0.6) for _ in range(500)])
    for number, item in enumerate(found):
        mask = Mask.decode(item["mask"]) if item["mask"]["rle"] else annotating.shapes()[0]
        pixels_of = mask.pixels.copy()
        pixels_of[0, 0] = True
        where = Mask(number % 20 * 4, number // 20 * 2, pixels_of)
        item["mask"] = where.encode()
    both = servers(found)
    for name in ("coco", "coco-polygons", "gpkg", "geojson", "shp", "yolo", "ids-tif"):
        _, reply = carried(both, name)
        assert reply["objects"] == 500
        assert all(item.shape.is_valid for item in both[1][1].project.objects(1)[-500:])
        before, after = pixels(both[0][1]), list(pixels(both[1][1]).values())[-500:]
        for one, other in zip(before.values(), after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_coco_is_read_by_pycocotools(servers):
    found = annotating.items(annotating.shapes())
    both = servers(found)
    for name in ("coco", "coco-polygons"):
        content = json.loads(carried(both, name)[0])
        truth = pixels(both[0][1])
        for item in content["annotations"]:
            shape = item["segmentation"]
            if isinstance(shape, list):
                shape = coco_mask.merge(coco_mask.frPyObjects(shape, HEIGHT, WIDTH))
            np.testing.assert_array_equal(coco_mask.decode(shape).view(bool), truth[item["id"]])
            x, y, w, h = item["bbox"]
            assert item["area"] == truth[item["id"]][y : y + h, x : x + w].sum()


@pytest.mark.parametrize("name", ["gpkg", "geojson"])
def test_ground_coordinates_by_rasterio_alone(servers, tmp_path, name):
    """What is written, rasterised on the raster's own grid, is the mask."""
    both = servers(annotating.items(annotating.shapes()))
    content, _ = carried(both, name)
    with rasterio.open(tmp_path / "scene.tif") as file:
        grid, crs = file.transform, file.crs
    if name == "geojson":
        features = json.loads(content)["features"]
        shapes = {
            f["id"]: rasterio.warp.transform_geom("EPSG:4326", crs, f["geometry"]) for f in features
        }
        assert all(shapely.is_ccw(ring) for f in features for ring in _outer(f["geometry"]))
    else:
        from pyogrio import raw

        (tmp_path / "out.gpkg").write_bytes(content)
        meta, _, wkb, columns = raw.read(tmp_path / "out.gpkg")
        assert meta["crs"] == "EPSG:32632"
        ids = columns[list(meta["fields"]).index("id")].tolist()
        shapes = dict(zip(ids, shapely.from_wkb(wkb), strict=True))
        assert all(shape.is_valid for shape in shapes.values())
    for id, expected in pixels(both[0][1]).items():
        found = rasterize([shapes[id]], out_shape=(HEIGHT, WIDTH), transform=grid)
        np.testing.assert_array_equal(found.astype(bool), expected)


def _outer(shape):
    parts = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
    return [shapely.LinearRing(part[0]) for part in parts]


def test_geojson_across_the_antimeridian(servers):
    """Cut in two there, as RFC 7946 asks, and whole again afterwards."""
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", "EPSG:32601", [-180], [50])
    grid = Affine(10, 0, x - 450, 0, -10, y + 300)
    both = servers(annotating.items(annotating.shapes()), crs="EPSG:32601", transform=grid)
    content, reply = carried(both, "geojson")
    assert reply["skipped"] == 0
    crossing = 0
    for feature in json.loads(content)["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area < 1e-3  # no part goes round the earth
        crossing += shape.bounds[2] - shape.bounds[0] > 359
    assert crossing >= 1
    same(pixels(both[0][1]), pixels(both[1][1]))


def test_areas():
    """On the ellipsoid: a square degree at the equator, and UTM within its distortion."""
    one = _info("EPSG:4326", (1, 0, 20, 0, -1, 1))
    assert georeference.pixel_area_m2(one) == pytest.approx(12_308.78e6, rel=1e-4)
    utm = _info("EPSG:32632", (0.5, 0, 500_000, 0, -0.5, 5_000_000))
    assert georeference.pixel_area_m2(utm) == pytest.approx(0.25 / 0.9996**2, rel=1e-6)
    assert georeference.pixel_area_m2(_info(None, None)) is None


def test_an_outline_of_thousands_of_kilometres_has_few_corners(monkeypatch):
    """Its area is right, and is not measured in millions of pieces."""
    corners = []
    convert = georeference.convert
    monkeypatch.setattr(
        georeference, "convert", lambda a, b, xy: corners.append(len(xy)) or convert(a, b, xy)
    )
    info = _info("EPSG:4326", (1e-6, 0, 0, 0, -1e-6, 45))  # 11 cm pixels
    side = 90_000_000  # 90 degrees
    (area,) = georeference.areas_m2(info, [shapely.box(0, 0, side, side // 2)])
    assert area == pytest.approx(44.983e12, rel=1e-3)  # R^2 pi / 2 sin(44.872 degrees)
    assert max(corners) < 100_000


def _info(crs, transform):
    from rsisrefiner_jax.formats.raster_info import Raster

    return Raster("x", 1, 1, ("",), "uint8", None, crs, transform)


def test_long_edges_stay_straight_on_the_ground(tmp_path):
    """An edge of 3000 coarse pixels goes to degrees and back within a fraction of one."""
    info = _info("EPSG:3035", (1000, 0, 3e6, 0, -1000, 5e6))
    shape = shapely.box(0, 0, 3000, 2000)
    (placed,) = georeference.shapes_in_crs(info, [shape], "EPSG:4326")
    assert placed.is_valid
    dense = shapely.segmentize(placed, 0.01)
    back = georeference.to_pixels(
        info, georeference.convert("EPSG:4326", "EPSG:3035", shapely.get_coordinates(dense))
    )
    away = shapely.distance(shapely.points(back), shape.boundary)
    assert away.max() < 0.05


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_any_mask_keeps_its_pixels(bitmap, shift):
    if not bitmap.any():
        return
    mask = Mask(shift, 2 * shift, bitmap)
    height, width = bitmap.shape[0] + 7, bitmap.shape[1] + 3
    whole = mask.within(0, 0, width, height)
    np.testing.assert_array_equal(Mask.decode(mask.encode()).pixels, bitmap)
    rle = masks.coco_rle(mask, height, width)
    np.testing.assert_array_equal(coco_mask.decode(rle).view(bool), whole)
    back = masks.from_runs(masks.counts_of(rle["counts"]), height, width)
    np.testing.assert_array_equal(back.within(0, 0, width, height), whole)
    outline = geometry.polygons(mask)
    assert outline.is_valid
    assert outline.area == bitmap.sum()
    back = geometry.rasterise(outline, width, height)
    np.testing.assert_array_equal(back.within(0, 0, width, height), whole)
    ring = rings.single_ring(outline)
    again = rings.from_rings([ring])
    assert again.is_valid
    np.testing.assert_array_equal(geometry.rasterise(again, width, height).pixels, back.pixels)
    polygon = coco_mask.frPyObjects([ring[:-1].ravel().tolist()], height, width)
    np.testing.assert_array_equal(coco_mask.decode(coco_mask.merge(polygon)).view(bool), whole)


def test_simplified_neighbours_keep_their_border():
    y, x = np.mgrid[:60, :60]
    left = x + 3 * np.sin(y / 4) < 30
    shapes = [geometry.polygons(Mask(0, 0, part)) for part in (left, ~left)]
    simple = simplified(shapes, 2.0)
    assert sum(map(shapely.get_num_coordinates, simple)) < 0.4 * sum(
        map(shapely.get_num_coordinates, shapes)
    )
    assert all(shape.is_valid for shape in simple)
    assert shapely.intersection(*simple).area == 0
    assert shapely.union_all(simple).area == pytest.approx(3600)


def test_right_angles():
    house = shapely.affinity.rotate(shapely.box(0, 0, 40, 25).union(shapely.box(0, 0, 15, 40)), 20)
    house = shapely.transform(house, lambda xy: xy + 30)
    rough = geometry.polygons(geometry.rasterise(house, 120, 120))
    made = right_angled(rough)
    assert made.is_valid
    assert len(made.exterior.coords) == 7
    assert shapely.intersection(made, house).area / shapely.union(made, house).area > 0.95
    edges = np.diff(np.array(made.exterior.coords), axis=0)
    turns = np.einsum("ij,ij->i", edges, np.roll(edges, 1, axis=0))
    np.testing.assert_allclose(turns, 0, atol=1e-6)
    pond = geometry.polygons(geometry.rasterise(shapely.Point(50, 50).buffer(30), 120, 120))
    assert right_angled(pond).equals(pond)


def test_open_checked_knows_the_grid(tmp_path):
    info = open_checked(annotating.raster(tmp_path))
    assert info.transform == tuple(annotating.TURNED)[:6]
