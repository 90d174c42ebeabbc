"""What the annotator exports opens in training, and in another project, as the same objects."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rasterio.transform import Affine

from rsisrefiner_jax.annotate.export import FORMATS
from rsisrefiner_jax.annotate.exports import Exports
from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.data.spec import open_source
from tests import annotating
from tests.annotating import HEIGHT, WIDTH
from tests.both_readers import imported, read

# What a format cannot hold: "ids" (numbered anew, in order), "classes", "overlap" (later objects
# lie on top), "regions" (an object is a connected region). Everything else is exact.
LOST = {
    "coco": set(),
    "coco-polygons": set(),
    "gpkg": set(),
    "geojson": set(),
    "shp": set(),
    "ids-tif": {"classes"},
    "ids-png": {"classes"},
    "classes-tif": {"ids", "overlap", "regions"},
    "yolo": {"ids"},
}
GROUNDS = {
    "UTM": {},
    "none": {"crs": None, "transform": Affine.identity()},
    "no transform": {"transform": Affine.identity()},
    "across 180 degrees": {
        "crs": "EPSG:4326",
        "transform": Affine(1e-3, 0, 179.955, 0, -1e-3, 10),
    },
}


def objects():
    """Masks with ids and classes: holes, parts, corners, borders, and an overlap."""
    masks = [mask for mask in annotating.shapes() if mask.area > 1]
    over = np.zeros((HEIGHT, WIDTH), bool)
    over[10:22, 15:35] = True  # the first one's, and free pixels
    masks.append(annotating.Mask(0, 0, over).trimmed())
    items = annotating.items(masks)
    for number, item in enumerate(items):
        item |= {"id": 10 * number + 3, "class": ["", "roof", "tank: small"][number % 3]}
        item["attributes"] = {"note": "größer", "floors": number}
    return items


@pytest.fixture(scope="module", params=GROUNDS)
def project(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    raster = annotating.raster(folder / "images", "Los Ángeles 1.tif", **GROUNDS[request.param])
    here = annotating.context(folder)
    here.project.add_image(raster)
    here.project.import_objects(1, objects())
    yield here.project, raster
    here.project.close()


def spec_of(name: str, raster: Path, files: list[Path]) -> str:
    """How the trainer opens an export."""
    if name.startswith("coco"):
        return f"coco:{raster.parent},{files[0]}"
    if name in ("gpkg", "geojson", "shp"):
        return f"geo:{raster},{next(f for f in files if f.suffix != '.dbf' and f.suffix in SHAPES)}"
    if name == "yolo":
        return f"yolo:{raster.parent},{next(f for f in files if f.suffix == '.txt').parent}"
    kind = "classes" if name == "classes-tif" else "instances"
    return f"{kind}:{raster.parent},{files[0].parent}"


SHAPES = (".gpkg", ".geojson", ".shp")


def truth(project):
    names = {None: "", **{item.id: item.name for item in project.classes()}}
    return {
        item.id: (names[item.class_id], item.mask.within(0, 0, WIDTH, HEIGHT))
        for item in project.objects(1)
    }


def expected_of(name, whole, category):
    """What of the objects a format can hold, in order; of a class mask one class of it."""
    if "regions" not in LOST[name]:
        return {
            number if "ids" in LOST[name] else id: ("" if "classes" in LOST[name] else own, mask)
            for number, (id, (own, mask)) in enumerate(whole.items(), start=1)
        }
    from rsisrefiner_jax.formats.label_regions import regions_of

    top = np.full((HEIGHT, WIDTH), None, object)
    for own, mask in whole.values():
        top[mask] = own
    regions = [mask.within(0, 0, WIDTH, HEIGHT) for mask in regions_of(top == category)]
    return {number: (category, mask) for number, mask in enumerate(regions, start=1)}


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "clicks"])
def test_exports_open_in_training_and_in_the_annotator(project, tmp_path, name):
    project, raster = project
    whole = truth(project)
    exports = Exports(project)
    written = exports.write(exports.job(1), name)
    files = [written]
    if written.suffix == ".zip":
        with zipfile.ZipFile(written) as archive:
            archive.extractall(tmp_path)
        files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    category = "roof" if name == "classes-tif" else None
    expected = expected_of(name, whole, category)
    spec = spec_of(name, raster, files) + (f",class={category}" if category else "")
    scene = open_source(spec)[0]
    found = {item.id: (item.category, scene.mask(item)) for item in scene.objects}
    again = imported(raster, written)
    if category:
        again = dict(enumerate((o for o in again.values() if o[0] == category), start=1))
    for one in (found, again):
        assert one.keys() == expected.keys()
        for id, (own, mask) in expected.items():
            assert one[id][0] == own
            np.testing.assert_array_equal(one[id][1], mask)
    if not LOST[name] & {"ids", "overlap"}:
        rows = [
            object_hash(("scene", id, int(mask.sum())) for id, (_, mask) in sorted(one.items()))
            for one in (found, whole)
        ]
        assert rows[0] == rows[1]
    exports.close()


@pytest.fixture
def several(tmp_path):
    """A project of images in several folders, one of them without an object; and what it holds."""
    here = annotating.context(tmp_path)
    for number, folder in enumerate(("a", "b/c", "d"), start=1):
        here.project.add_image(annotating.raster(tmp_path / "images" / folder))
        if number < 3:
            items = annotating.items(annotating.shapes()[: number + 1])
            items[0]["class"] = "roof"
            here.project.import_objects(number, items)
    here.project.delete_object(2)
    here.project.edits.move("undo", 1)
    here.project.edits.move("undo", 1)
    here.project.edits.move("redo", 1)
    here.project.delete_object(5)
    names = {None: "", **{item.id: item.name for item in here.project.classes()}}
    expected = {
        image.path.relative_to(tmp_path / "images").as_posix(): {
            o.id: (names[o.class_id], o.mask.within(0, 0, WIDTH, HEIGHT))
            for o in here.project.objects(image.id)
        }
        for image in here.project.images()[:2]
    }
    assert [len(found) for found in expected.values()] == [2, 2]
    yield here.project, expected
    here.project.close()


def require_opens(spec, expected):
    source = open_source(spec)
    assert [source[i].name for i in range(len(source))] == list(expected)
    for scene in (source[i] for i in range(len(source))):
        found = {item.id: (item.category, scene.mask(item)) for item in scene.objects}
        assert found.keys() == expected[scene.name].keys()
        for id, (category, mask) in expected[scene.name].items():
            assert found[id][0] == category
            np.testing.assert_array_equal(found[id][1], mask)


def test_a_project_is_one_data_set(several, tmp_path, capsys):
    """The folder of the project itself, and that of its export, which may move with the images."""
    from rsisrefiner_jax.annotate.export.__main__ import main

    project, expected = several
    require_opens(f"project:{tmp_path / 'project'}", expected)  # while it is in use
    shutil.copytree(tmp_path / "project", tmp_path / "killed")
    project.close()
    files = sorted((tmp_path / "project").iterdir())
    require_opens(f"project:{tmp_path / 'project'}", expected)
    assert sorted((tmp_path / "project").iterdir()) == files
    require_opens(f"project:{tmp_path / 'killed'}", expected)
    main([str(tmp_path / "project"), "--to", str(tmp_path / "out")])
    assert capsys.readouterr().out.strip() == f"project:{tmp_path / 'out'}"
    require_opens(f"project:{tmp_path / 'out'}", expected)
    require_opens(f"coco:{tmp_path / 'images'},{tmp_path / 'out' / 'instances.json'}", expected)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("images", "out", "project"):
        (tmp_path / name).rename(moved / name)
    require_opens(f"project:{moved / 'out'}", expected)
    require_opens(f"project:{moved / 'project'}", expected)


def test_a_project_that_cannot_be_opened(several, tmp_path):
    from rsisrefiner_jax.annotate.export.__main__ import main
    from rsisrefiner_jax.errors import UserError

    project, _ = several
    project.close()
    for open_it in (lambda d: main([d]), lambda d: open_source(f"project:{d}")):
        with pytest.raises(UserError, match="no project of the annotator"):
            open_it(str(tmp_path / "images"))
    (tmp_path / "images" / "a" / "scene.tif").unlink()
    annotating.raster(tmp_path / "images" / "b" / "c", bands=np.ones((3, 20, 30), np.uint8))
    with pytest.raises(UserError, match=r"2 pictures .*a/scene\.tif is not there"):
        open_source(f"project:{tmp_path / 'project'}")
    with pytest.raises(UserError, match="project:DIR"):
        open_source(str(tmp_path / "project"))


@pytest.mark.parametrize("name", ["geojson", "gpkg", "shp"])
def test_our_columns_do_not_become_attributes(tmp_path, name):
    """Also where no object has a class, whose number is then nowhere in the file."""
    here = annotating.context(tmp_path)
    raster = annotating.raster(tmp_path / "images")
    here.project.add_image(raster)
    items = annotating.items(annotating.shapes()[:3], attributes={"note": "a"}, clicks=4)
    here.project.import_objects(1, items)
    exports = Exports(here.project)
    found = read(raster, exports.write(exports.job(1), name)).items
    assert [(o["class"], o["attributes"], o["clicks"]) for o in found] == [
        ("", {"note": "a"}, 4)
    ] * 3
    exports.close()
    here.project.close()
