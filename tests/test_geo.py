"""Georeferenced rasters with polygons: where objects lie, and what is said of bad input."""

import json
import pickle

import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")

from rasterio.transform import Affine, xy  # noqa: E402
from rasterio.warp import transform  # noqa: E402

from rsisrefiner_jax.data.geo import GeoSource  # noqa: E402
from rsisrefiner_jax.data.spec import open_source  # noqa: E402
from rsisrefiner_jax.data.stretch import Recipe  # noqa: E402
from tests.rasters import UTM, write_raster  # noqa: E402

H, W = 60, 90


def box(x0, y0, x1, y1):
    """A rectangle's ring in pixels."""
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


def on_map(ring, crs, grid=UTM):
    """Pixels of a raster as coordinates in `crs`."""
    columns, rows = zip(*ring, strict=True)
    xs, ys = transform(grid["crs"], crs, *xy(grid["transform"], rows, columns, offset="ul"))
    return [list(point) for point in zip(xs, ys, strict=True)]


def geojson(path, rings, crs="EPSG:32632", grid=UTM, properties=None, driver=None):
    """Polygons, given as lists of rings in pixels, as a GeoJSON file; a driver converts it."""
    features = [
        {
            "type": "Feature",
            "properties": (properties or [{}] * len(rings))[i],
            "geometry": {
                "type": "Polygon",
                "coordinates": [on_map(ring, crs, grid) for ring in polygon],
            },
        }
        for i, polygon in enumerate(rings)
    ]
    name = {"type": "name", "properties": {"name": crs}}
    content = {"type": "FeatureCollection", "crs": name, "features": features}
    source = path.with_suffix(".geojson") if driver else path
    source.write_text(json.dumps(content))
    if driver:
        meta, _, shapes, fields = pyogrio.raw.read(source)
        pyogrio.raw.write(
            path,
            shapes,
            fields,
            meta["fields"],
            driver=driver,
            crs=meta["crs"],
            geometry_type="Polygon",
        )
    return str(path)


def raster(tmp_path, bands=None, **profile):
    if bands is None:
        bands = np.random.default_rng(0).integers(1, 255, (3, H, W), np.uint8)
    return write_raster(tmp_path / "r.tif", bands, **{**UTM, **profile})


def masks(source):
    scene = source[0]
    return [scene.mask(item) for item in scene.objects]


def filled(x0, y0, x1, y1, shape=(H, W)):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


TWO = [[box(5, 5, 20, 15), box(8, 8, 12, 12)], [box(30, 10, 50, 40)]]  # the first has a hole


def test_a_scene(tmp_path):
    properties = [{"Class": "pond"}, {"Class": None}]
    vectors = geojson(tmp_path / "v.geojson", TWO, properties=properties)
    source = GeoSource(raster(tmp_path), vectors)
    assert (len(source), source.windows_left_out) == (1, 0)
    scene = source[0]
    assert scene.name == "r_y0_x0"
    with rasterio.open(tmp_path / "r.tif") as file:
        np.testing.assert_array_equal(scene.image, np.moveaxis(file.read(), 0, -1))
    assert scene.labels.shape == (H, W, 1)
    assert scene.labels.dtype == np.int32
    assert [(o.id, o.layer, o.category) for o in scene.objects] == [(1, 0, "pond"), (2, 0, "")]
    pond, other = masks(source)
    np.testing.assert_array_equal(pond, filled(5, 5, 20, 15) & ~filled(8, 8, 12, 12))
    np.testing.assert_array_equal(other, filled(30, 10, 50, 40))
    assert not scene.ignore.any()


@pytest.mark.parametrize(("ending", "driver"), [("gpkg", "GPKG"), ("shp", "ESRI Shapefile")])
def test_other_formats(tmp_path, ending, driver):
    vectors = geojson(tmp_path / f"v.{ending}", TWO, driver=driver)
    source = GeoSource(raster(tmp_path), vectors)
    assert [item.id for item in source[0].objects] == [1, 2]
    np.testing.assert_array_equal(masks(source)[1], filled(30, 10, 50, 40))


def test_multipolygons_collections_and_what_is_no_polygon(tmp_path):
    def polygon(*corners):
        return [on_map(box(*corners), "EPSG:32632")]

    point = {"type": "Point", "coordinates": [500_001.0, 4_999_999.0]}
    shapes = [
        None,
        {"type": "MultiPolygon", "coordinates": [polygon(2, 2, 5, 5), polygon(9, 9, 12, 12)]},
        point,
        {"type": "Polygon", "coordinates": []},
        {
            "type": "GeometryCollection",
            "geometries": [point, {"type": "Polygon", "coordinates": polygon(20, 20, 24, 30)}],
        },
    ]
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    name = {"type": "name", "properties": {"name": "EPSG:32632"}}
    content = {"type": "FeatureCollection", "crs": name, "features": features}
    (tmp_path / "v.geojson").write_text(json.dumps(content))
    source = GeoSource(raster(tmp_path), str(tmp_path / "v.geojson"))
    assert [item.id for item in source[0].objects] == [2, 5]
    two_parts, other = masks(source)
    np.testing.assert_array_equal(two_parts, filled(2, 2, 5, 5) | filled(9, 9, 12, 12))
    np.testing.assert_array_equal(other, filled(20, 20, 24, 30))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:25833"])
def test_polygons_in_another_system(tmp_path, crs):
    inner = [[box(5.2, 5.2, 19.8, 14.8)]]  # no edge on a pixel's centre
    source = GeoSource(raster(tmp_path), geojson(tmp_path / "v.geojson", inner, crs))
    np.testing.assert_array_equal(masks(source)[0], filled(5, 5, 20, 15))


def test_geographic_raster_and_mercator_polygons(tmp_path):
    grid = {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 11.5, 0, -1e-4, 48.1)}
    vectors = geojson(tmp_path / "v.geojson", [[box(5.2, 5.2, 19.8, 14.8)]], "EPSG:3857", grid)
    source = GeoSource(raster(tmp_path, **grid), vectors)
    np.testing.assert_array_equal(masks(source)[0], filled(5, 5, 20, 15))


def test_rotated_raster(tmp_path):
    sin, cos = 0.25, 0.25 * 3**0.5  # half of those of 30 degrees
    grid = {**UTM, "transform": Affine(cos, -sin, 500_000, -sin, -cos, 5_000_000)}
    vectors = geojson(tmp_path / "v.geojson", [[box(5.2, 5.2, 19.8, 14.8)]], "EPSG:4326", grid)
    source = GeoSource(raster(tmp_path, **grid), vectors)
    np.testing.assert_array_equal(masks(source)[0], filled(5, 5, 20, 15))


def test_a_raster_without_a_system_takes_polygons_without_one(tmp_path):
    vectors = geojson(tmp_path / "v.shp", TWO, driver="ESRI Shapefile")
    (tmp_path / "v.prj").unlink()
    path = raster(tmp_path)
    with pytest.raises(UserError, match=r"v\.shp: states no coordinate reference system"):
        GeoSource(path, vectors)
    source = GeoSource(raster(tmp_path, crs=None), vectors)
    np.testing.assert_array_equal(masks(source)[1], filled(30, 10, 50, 40))
    with pytest.raises(UserError, match=r"r\.tif: states no coordinate reference system"):
        GeoSource(path, geojson(tmp_path / "v.geojson", TWO))


def test_overlap_and_what_covers_no_pixel(tmp_path):
    rings = [box(5, 5, 20, 15), box(10, 10, 30, 30), box(40.6, 3, 40.9, 9), box(50, 5, 60, 15)]
    source = GeoSource(raster(tmp_path), geojson(tmp_path / "v.geojson", [[r] for r in rings]))
    scene = source[0]
    assert scene.labels.shape == (H, W, 2)
    assert [(item.id, item.layer) for item in scene.objects] == [(1, 0), (2, 1), (4, 0)]
    for item, ring in zip(scene.objects, [rings[0], rings[1], rings[3]], strict=True):
        np.testing.assert_array_equal(scene.mask(item), filled(*ring[0], *ring[2]))


def test_no_data_is_ignored(tmp_path):
    bands = np.full((3, H, W), 100, np.uint16)
    bands[:, :, 40:] = 0
    path = raster(tmp_path, bands, nodata=0)
    scene = GeoSource(path, geojson(tmp_path / "v.geojson", TWO))[0]
    np.testing.assert_array_equal(scene.ignore, filled(40, 0, W, H))
    assert scene.mask(scene.objects[1])[20, 45]


@pytest.fixture
def large(tmp_path):
    """900 x 2000 pixels, a ramp of 16 bits: six windows of 450 x 666 or 667."""
    ramp = np.linspace(0, 60_000, 900 * 2000).reshape(1, 900, 2000).astype(np.uint16)
    rings = [[box(600, 100, 700, 200)], [box(1500, 700, 1510, 720)], [box(-50, -50, 4, 4)]]
    path = write_raster(tmp_path / "r.tif", ramp, compress="deflate", **UTM)
    return GeoSource(path, geojson(tmp_path / "v.geojson", rings)), path


def test_windows(large):
    source, path = large
    assert (len(source), source.windows_left_out) == (3, 3)
    scenes = [source[i] for i in range(3)]
    assert [scene.name for scene in scenes] == ["r_y0_x0", "r_y0_x666", "r_y450_x1333"]
    assert [scene.image.shape[:2] for scene in scenes] == [(450, 666), (450, 667), (450, 667)]
    assert [[item.id for item in scene.objects] for scene in scenes] == [[1, 3], [1], [2]]
    left, right = (scene.mask(scene.objects[0]) for scene in scenes[:2])  # one object, cut
    both = np.concatenate([left, right], axis=1)
    np.testing.assert_array_equal(both, filled(600, 100, 700, 200, both.shape))
    from rsisrefiner_jax.data.raster import read_picture

    whole, _ = read_picture(path)  # one stretch for all windows
    np.testing.assert_array_equal(scenes[1].image, whole[:450, 666:1333])
    np.testing.assert_array_equal(scenes[2].image, whole[450:, 1333:])


def test_copies_and_threads_read_the_same(large):
    import grain

    source, _ = large
    alone = [source[i] for i in range(3)]
    copy = pickle.loads(pickle.dumps(source))  # what a worker process gets
    options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=8)
    dataset = grain.MapDataset.source(copy).repeat(4).to_iter_dataset(options)
    for i, scene in enumerate(dataset):
        np.testing.assert_array_equal(scene.image, alone[i % 3].image)
        np.testing.assert_array_equal(scene.labels, alone[i % 3].labels)
    assert i == 11


def test_recipe(tmp_path):
    path = raster(tmp_path)
    vectors = geojson(tmp_path / "v.geojson", TWO)
    plain, swapped = GeoSource(path, vectors)[0], GeoSource(path, vectors, Recipe((3, 2, 1)))[0]
    np.testing.assert_array_equal(plain.image, swapped.image[..., ::-1])


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"name": "a", "category": "b", "LABEL": "c"}, "b"),
        ({"label": "a", "class": ""}, "a"),
        ({"name": "Occlusion"}, ""),
        ({"label": 3.0}, "3"),
        ({"klass": "x"}, ""),
    ],
)
def test_category(tmp_path, properties, expected):
    vectors = geojson(tmp_path / "v.geojson", TWO, properties=[properties] * 2)
    assert GeoSource(raster(tmp_path), vectors)[0].objects[0].category == expected


def test_category_by_the_field_that_is_asked_for(tmp_path):
    properties = [{"class": "a", "building": "yes"}, {"class": "b", "building": None}]
    vectors = geojson(tmp_path / "v.geojson", TWO, properties=properties)
    path = raster(tmp_path)
    source = open_source(f"geo:{path},{vectors},class=building")
    assert [item.category for item in source[0].objects] == ["yes", ""]
    with pytest.raises(UserError, match=r"v\.geojson: class=klass: no such .* class, building$"):
        open_source(f"geo:{path},{vectors},class=klass")


@pytest.mark.parametrize(
    ("numbers", "expected"), [((7, 9), [7, 9]), ((0, 4), [1, 5]), ((5, 2**40), [1, 2])]
)
def test_ids_that_a_file_gives(tmp_path, numbers, expected):
    vectors = geojson(tmp_path / "v.geojson", TWO, properties=[{"id": n} for n in numbers])
    assert [item.id for item in GeoSource(raster(tmp_path), vectors)[0].objects] == expected


def test_layers_of_a_geopackage(tmp_path):
    vectors = geojson(tmp_path / "v.gpkg", TWO, driver="GPKG")
    meta, _, shapes, fields = pyogrio.raw.read(vectors)
    options = {"driver": "GPKG", "crs": meta["crs"], "geometry_type": "Polygon"}
    pyogrio.raw.write(
        vectors, shapes[1:], fields, meta["fields"], layer="one", append=False, **options
    )
    path = raster(tmp_path)
    with pytest.raises(UserError, match=r"several layers .* choose one .*v\.gpkg\|layername=v"):
        GeoSource(path, vectors)
    source = GeoSource(path, f"{vectors}|layername=one")
    np.testing.assert_array_equal(masks(source)[0], filled(30, 10, 50, 40))
    with pytest.raises(UserError, match=r"v\.gpkg: cannot be read as a vector file"):
        GeoSource(path, f"{vectors}|layername=two")


def test_points_far_polygons_and_broken_files(tmp_path):
    path, vectors = raster(tmp_path), tmp_path / "v.geojson"
    shape = {"type": "Point", "coordinates": [9.0, 45.0]}
    point = {"type": "Feature", "properties": {}, "geometry": shape}
    vectors.write_text(json.dumps({"type": "FeatureCollection", "features": [point]}))
    with pytest.raises(UserError, match=r"v\.geojson: no layer of polygons"):
        GeoSource(path, str(vectors))
    geojson(vectors, [[box(1000, 1000, 1010, 1010)]])
    with pytest.raises(UserError, match=r"v\.geojson: no polygon covers a pixel of .*r\.tif"):
        GeoSource(path, str(vectors))
    vectors.write_text("{")
    with pytest.raises(UserError, match=r"v\.geojson: cannot be read as a vector file") as caught:
        GeoSource(path, str(vectors))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"none\.gpkg: no such vector file"):
        GeoSource(path, str(tmp_path / "none.gpkg"))


def test_a_raster_without_georeference(tmp_path):
    path = write_raster(tmp_path / "r.tif", np.ones((1, H, W), np.uint8))
    vectors = geojson(tmp_path / "v.shp", TWO, driver="ESRI Shapefile")
    (tmp_path / "v.prj").unlink()
    with pytest.raises(
        UserError, match=r"no polygon covers a pixel of .*r\.tif is not georeferenced"
    ):
        GeoSource(path, vectors)


def test_a_polygon_that_cannot_be_converted(tmp_path):
    vectors = tmp_path / "v.geojson"
    ring = [[0, -95], [20, -95], [20, 60], [0, 60], [0, -95]]  # latitudes beyond the pole
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    vectors.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(UserError, match=r"v\.geojson: some polygons cannot be converted"):
        GeoSource(raster(tmp_path), str(vectors))


def test_pyogrio_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyogrio", None)
    path, vectors = raster(tmp_path), str(tmp_path / "v.gpkg")
    with pytest.raises(UserError, match=r"pyogrio and shapely; run pip install -e \.\[geo\]"):
        GeoSource(path, vectors)


def test_the_doctor_counts_and_draws_what_a_raster_holds(tmp_path, capsys):
    from rsisrefiner_jax.data.doctor.__main__ import main

    spec = f"geo:{raster(tmp_path)},{geojson(tmp_path / 'v.geojson', TWO)}"
    main([spec, "--sheet", str(tmp_path / "sheet.png"), "--set", "data.bands=[3]", "--strict"])
    out = capsys.readouterr().out
    assert f"{spec}: clean, no known defect; 1 scene examined" in out
    assert "2 objects in 1 scene" in out
    assert "2 random objects drawn" in out
    with pytest.raises(UserError, match=r"cannot be used as it is: .* the file has only 3$"):
        main([spec, "--set", "data.bands=[4]"])
