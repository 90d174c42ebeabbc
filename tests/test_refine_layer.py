"""What a layer asks for, where that lies, and the layer that is written in the end."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="needs the extra [geo]")
import shapely

from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.data.raster import read_window
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats import remote
from rsisrefiner_jax.formats.features import read_features
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.formats.raster_info import open_raster
from rsisrefiner_jax.refine import output
from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.journal import Journal
from rsisrefiner_jax.refine.layer import Fields
from rsisrefiner_jax.refine.placing import TOGETHER, Prompt, blocks
from rsisrefiner_jax.refine.run import ask
from tests.refining import GROUND, layer, on_ground, read, scene, served


@pytest.fixture
def raster(tmp_path):
    return scene(tmp_path / "scene.tif", [])


def asked(rasters, path, **fields):
    return ask([rasters] if isinstance(rasters, str) else rasters, path, Fields(**fields))


def test_points_of_an_object_are_its_clicks(tmp_path, raster):
    """By their attributes, in a system of their own; the positive ones come first."""
    pixels = [(10, 20), (50, 60), (12, 20), (200.5, 100.5), (390, 299.9)]
    shapes = [on_ground(shapely.Point(xy), "EPSG:4326") for xy in pixels]
    path = layer(
        tmp_path / "points.gpkg",
        shapes,
        "EPSG:4326",
        object_id=np.array(["a", "b", "a", "c", "b"]),
        positive=np.array([0, 1, 1, 1, 0]),
    )
    found = asked(raster, path)
    assert [one.feature for one in found.layer.objects] == [0, 1, 3]
    clicks = [prompt.clicks for prompt in found.prompts]
    wanted = [[(12, 20, True), (10, 20, False)], [(50, 60, True), (390, 299.9, False)]]
    for got, one in zip(clicks, [*wanted, [(200.5, 100.5, True)]], strict=True):
        np.testing.assert_allclose(got, one, atol=1e-3)
    alone = asked(raster, path, object="positive")
    assert [len(prompt.clicks) for prompt in alone.prompts] == [3]  # those of value 1


def test_a_multipoint_is_one_object_and_a_point_another(tmp_path, raster):
    shapes = [shapely.MultiPoint([(10, 10), (20, 10)]), shapely.Point(50, 50)]
    found = asked(raster, layer(tmp_path / "points.gpkg", list(map(on_ground, shapes))))
    assert [p.clicks for p in found.prompts] == [
        (Click(10, 10, True), Click(20, 10, True)),
        (Click(50, 50, True),),
    ]


def test_what_cannot_be_asked_for_is_counted(tmp_path, raster):
    shapes = [
        shapely.box(10, 10, 40, 40),
        None,
        shapely.LineString([(0, 0), (50, 50)]),
        shapely.box(1000, 10, 1040, 40),
        shapely.box(390, 290, 420, 310),  # a sixth of it lies on the raster
        shapely.Polygon(),
    ]
    ground = [None if shape is None else on_ground(shape) for shape in shapes]
    found = asked(raster, layer(tmp_path / "some.gpkg", ground))
    assert [(p.number, p.cut) for p in found.prompts] == [(0, False), (4, True)]
    status = [one.status for one in output.answers_of(found.layer, {})]
    assert [status[i] for i in (1, 2, 3, 5)] == ["unusable", "unusable", "outside", "unusable"]


def test_a_word_for_no_sign_is_refused(tmp_path, raster):
    path = layer(
        tmp_path / "points.gpkg", [on_ground(shapely.Point(5, 5))], positive=np.array(["maybe"])
    )
    with pytest.raises(UserError, match="positive='maybe' says neither yes nor no"):
        asked(raster, path)
    with pytest.raises(UserError, match=r"--object tree: .* no such attribute; there are positive"):
        asked(raster, path, object="tree")


def test_boxes_are_boxes_of_pixels(tmp_path, raster):
    triangle = on_ground(shapely.Polygon([(10, 10), (50, 10), (30, 40)]))
    path = layer(tmp_path / "some.gpkg", [triangle])
    (box,), (polygon,) = asked(raster, path, boxes=True).prompts, asked(raster, path).prompts
    assert (box.kind, polygon.kind) == ("box", "polygon")
    np.testing.assert_allclose(box.shape.area, 40 * 30)
    np.testing.assert_allclose(polygon.shape.area, 20 * 30)


def test_of_several_rasters_the_one_that_shows_it_best(tmp_path):
    """All of it, far from the border; else the first."""
    moved = GROUND["transform"].translation(GROUND["transform"].c + 100, GROUND["transform"].f)
    moved = moved @ GROUND["transform"].scale(0.5, -0.5)
    rasters = [scene(tmp_path / "west.tif", []), scene(tmp_path / "east.tif", [], transform=moved)]
    # The eastern one begins at column 200 of the western one.
    shapes = [shapely.box(x, 140, x + 20, 160) for x in (20, 195, 220, 290, 380, 395, 590)]
    path = layer(tmp_path / "some.gpkg", list(map(on_ground, shapes)))
    assert [p.raster for p in asked(rasters, path).prompts] == [0, 0, 0, 0, 1, 1, 1]
    assert [p.raster for p in asked(rasters[::-1], path).prompts] == [1, 1, 1, 0, 0, 0, 0]


def test_several_rasters_without_a_place_are_refused(tmp_path):
    rasters = [scene(tmp_path / f"{n}.tif", [], crs=None, transform=None) for n in "ab"]
    path = layer(tmp_path / "some.gpkg", [shapely.box(10, 10, 40, 40)], crs=None)
    assert asked(rasters[0], path).prompts[0].shape.bounds == (10, 10, 40, 40)
    with pytest.raises(UserError, match="not georeferenced"):
        asked(rasters, path)


def test_blocks_are_the_same_however_the_prompts_come():
    rng = np.random.default_rng(0)
    prompts = [
        Prompt(n, int(n % 2), "points", None, (Click(*rng.uniform(0, 3000, 2), True),), False)
        for n in range(120)
    ]
    found = list(blocks(prompts))
    assert sorted(p.number for block in found for p in block.prompts) == list(range(120))
    assert [block.number for block in found] == list(range(len(found)))
    for block in found:
        assert len(block.prompts) <= TOGETHER
        assert {p.raster for p in block.prompts} == {block.raster}
        xs, ys = zip(*(p.clicks[0][:2] for p in block.prompts), strict=True)
        assert max(np.ptp(xs), np.ptp(ys)) < 1024


def square(left, top, side=20):
    return Mask(left, top, np.ones((side, side), bool)).encode()


@pytest.fixture
def rough(tmp_path, raster):
    """Four polygons with attributes of every type, and what there was an answer to."""
    shapes = [shapely.box(x, 10, x + 20, 30) for x in (10, 25, 100)] + [shapely.box(-8, 50, 20, 70)]
    path = layer(
        tmp_path / "rough.gpkg",
        [on_ground(shape, "EPSG:4326") for shape in shapes],
        "EPSG:4326",
        id=np.array([7, 3, 90, 12]),
        floors=(np.array([2, 0, 5, 1], np.int32), [0, 1, 0, 0]),
        name=np.array(["mill", "barn", "hall", "shed"]),
        heated=np.array([True, False, True, True]),
        seen=np.array(["2024-05-01T10:30", "NaT", "2023-01-01", "2022-01-01"], "datetime64[ms]"),
        status=np.array(["old", "new", "old", "new"]),
    )
    answers = {
        0: Answer(0, "refined", square(12, 12), 0.91234567, 0.7, 1),
        1: Answer(1, "refined", square(22, 12), 0.5, 0.8, 2),
        2: Answer(2, "kept", None, 0.3, 0.1, 3),
        3: Answer(3, "at border", Mask(0, 52, np.ones((18, 22), bool)).encode(), 0.8, 0.9, 1),
    }
    return path, asked(raster, path), answers


def write(rough, file: Path) -> Path:
    _, found, answers = rough
    all_of_them = output.answers_of(found.layer, answers)
    shares = output.overlaps(found.prompts, all_of_them)
    output.write(file, found.layer, found.prompts, found.rasters, all_of_them, shares)
    return file


def test_ids_attributes_and_system_stay(tmp_path, rough):
    columns, shapes, ids, crs = read(write(rough, tmp_path / "out.gpkg"))
    before, drawn, _, _ = read(rough[0])
    assert (crs, ids) == ("EPSG:4326", [3, 7, 12, 90])  # GDAL reads them in the order of ids
    order = [1, 0, 3, 2]
    for name, values in before.items():
        np.testing.assert_array_equal(columns[name], [values[i] for i in order])
    assert columns["status_2"] == ["refined", "refined", "at border", "kept"]
    assert columns["agreement"] == [0.5, 0.9123, 0.8, 0.3]
    assert columns["clicks"] == [2, 1, 1, 3]
    assert columns["raster"] == ["scene.tif"] * 4
    assert shapely.equals_exact(shapes[3].geoms[0].normalize(), drawn[2].normalize(), 0)
    again = read_features(
        tmp_path / "out.gpkg", "out", "", lambda names: names, lambda stated: (stated, None)
    )
    assert again.dtypes["floors"].startswith("int")
    assert again.dtypes["seen"] == "datetime64[ms]"
    assert again.dtypes["heated"] == "bool"


def test_outlines_run_along_the_pixels(tmp_path, rough):
    _, shapes, _, _ = read(write(rough, tmp_path / "out.gpkg"))
    wanted = on_ground(shapely.box(12, 12, 32, 32), "EPSG:4326")
    assert shapely.hausdorff_distance(shapes[1], wanted) < 1e-9 * 90
    # Beyond the raster a polygon stays as it was drawn.
    parts = shapely.box(0, 52, 22, 70), shapely.box(-8, 50, 0, 70)
    wanted = on_ground(shapely.union_all(parts), "EPSG:4326")
    assert shapely.symmetric_difference(shapes[2], wanted).area < 1e-6 * wanted.area


def test_objects_that_overlap_are_told(rough):
    _, found, answers = rough
    shares = output.overlaps(found.prompts, output.answers_of(found.layer, answers))
    assert shares == [0.5, 0.5, None, 0]


def test_the_same_objects_are_the_same_bytes(tmp_path, rough):
    first, second = (write(rough, tmp_path / f"{n}.gpkg").read_bytes() for n in "ab")
    assert first == second


def test_a_journal_goes_on_after_a_torn_line(tmp_path):
    job = {"network": "a", "prompts": 3}
    answer = Answer(1, "refined", square(3, 4), 0.1 + 0.2, None, 1)
    journal = Journal(tmp_path / "work", job)
    journal.add(4, [answer])
    with pytest.raises(UserError, match="another run writes there"):
        Journal(tmp_path / "work", job)
    journal.close()
    file = tmp_path / "work" / "blocks.jsonl"
    whole = file.read_bytes()
    for cut in (whole + whole[-40:-10], whole[:-3]):
        file.write_bytes(cut)
        journal = Journal(tmp_path / "work", job)
        assert journal.done == ({4} if len(cut) > len(whole) else set())
        journal.add(4, [answer])
        journal.add(5, [Answer(2, "empty")])
        journal.add(5, [Answer(2, "refined")])  # answered twice: the first counts
        assert journal.answers() == {1: answer, 2: Answer(2, "empty")}
        journal.close()
    with pytest.raises(UserError, match="network was a, now b"):
        Journal(tmp_path / "work", job | {"network": "b"})


def test_a_raster_at_an_address_is_read_where_it_is_named(tmp_path):
    folder = tmp_path / "far"
    folder.mkdir()
    here = scene(folder / "scene.tif", [(10, 20, 60, 50)])
    with served(folder) as (address, requests):
        url = f"{address}/scene.tif"
        for name in (url, f"/vsicurl/{url}"):  # nobody has named it yet
            with pytest.raises(UserError, match="no such raster file"):
                open_raster(name)
        assert not requests
        path = remote.allow(url)
        assert open_raster(path).transform == open_raster(here).transform
        for given, kept in zip(
            read_window(path, (5, 5, 60, 70)), read_window(here, (5, 5, 60, 70)), strict=True
        ):
            np.testing.assert_array_equal(given, kept)
        assert set(requests) == {"/scene.tif"}  # no file beside it was asked for
        with pytest.raises(UserError, match="cannot be read as a GeoTIFF at an address"):
            open_raster(remote.allow(f"{address}/gone.tif"))
        (folder / "list.vrt").write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
        with pytest.raises(UserError, match="cannot be read as a GeoTIFF at an address"):
            open_raster(remote.allow(f"{address}/list.vrt"))
        with pytest.raises(UserError, match="no such raster file"):
            open_raster(f"/vsicurl/{address}/other.tif")
    assert not any(map(remote.is_address, ("scene.tif", "C:/a.tif", "/vsicurl/https://a.b/c.tif")))


def test_no_two_columns_have_one_name():
    names = {"Status": 0, "status_2": 0, "fid": 0}
    assert [output.free_name(name, names) for name in ("status", "fid", "geom")] == [
        "status_3",
        "fid_2",
        "geom",
    ]
