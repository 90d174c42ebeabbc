"""Objects drawn, loaded, kept and exported, by a person in front of the page."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.data.synthetic import SyntheticSource
from tests.browser import Pictures
from tests.page.scene import CRS, KINDS, TRANSFORM

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
pytestmark = pytest.mark.slow

COLOUR = (0x3A, 0xA0, 0xFF)  # of the second class, as the page proposes it


def drawn_share(screen: np.ndarray, outline: np.ndarray) -> float:
    """The share of positions [n, 2] on the screen that have the class colour within 2 pixels."""
    near = np.abs(screen.astype(int) - COLOUR).sum(-1) < 90
    hits = [near[y - 2 : y + 3, x - 2 : x + 3].any() for x, y in outline.round().astype(int)]
    return float(np.mean(hits))


FRAMES = """() => {
  const gaps = (window.gaps = []);
  let last = performance.now();
  const frame = (now) => { gaps.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def test_object_from_first_click_to_export(open_page, server, tank, tmp_path, capsys):
    desk = open_page()
    pictures = Pictures(desk, tmp_path / "pictures")
    pictures.take("1-open")
    desk.make_classes(*KINDS)
    x, y, radius = tank
    desk.go_to(x, y, scale=2.0)
    server.wait_for_model()

    desk.page.evaluate(FRAMES)
    desk.click(x, y)
    desk.click(x + 0.5 * radius, y - 0.4 * radius)
    desk.click(x - 1.6 * radius, y, button="right")
    pictures.take("2-computing")
    desk.page.mouse.move(*desk.middle)
    desk.settled()
    gaps = np.array(desk.page.evaluate("window.gaps"))
    pictures.take("3-clicks")
    detail = desk.part("session-detail")
    three = detail.inner_text()
    assert "3 clicks" in three

    desk.press("m")
    desk.settled()
    pictures.take("4-probabilities")
    desk.press("m", "Control+z")
    desk.settled()
    assert "2 clicks" in detail.inner_text()
    desk.press("Control+Shift+Z")
    desk.settled()
    assert detail.inner_text() == three
    desk.press("2", "Enter")
    desk.settled()
    assert desk.part("object-row").count() == 1

    desk.page.reload()
    desk.loaded()
    desk.press("o")
    desk.settled()
    row = desk.part("object-row").inner_text().split("\n")
    assert KINDS[1] in row
    assert row[-1] == "3"
    screen = pictures.take("5-reloaded")

    table = desk.export("gpkg", tmp_path)
    assert pyogrio.read_info(table)["crs"] == CRS
    _, _, shapes, _ = pyogrio.raw.read(table)
    shape = shapely.from_wkb(shapes[0])
    with rasterio.open(desk.export("ids-tif", tmp_path)) as file:
        mask = file.read(1) > 0
        to_pixels = np.linalg.inv(np.array(file.transform).reshape(3, 3))
        assert file.crs == rasterio.CRS.from_string(CRS)
    assert abs(shape.area / (mask.sum() * 0.3**2) - 1) < 0.005
    border = shapely.segmentize(shape, 0.3)
    ground = np.concatenate(
        [shapely.get_coordinates(part.exterior) for part in shapely.get_parts(border)]
    )
    drawn = desk.on_screen(ground @ to_pixels[:2, :2].T + to_pixels[:2, 2])
    assert drawn_share(screen, drawn) > 0.98
    assert drawn_share(screen, drawn + 12) < 0.5  # elsewhere there is nothing of that colour
    clicked = shapely.Point(TRANSFORM[2] + 0.3 * x, TRANSFORM[5] - 0.3 * y)
    assert shape.distance(clicked) < 0.3 * radius

    with capsys.disabled():
        print(
            f"\nframe gaps while three clicks were computed: median {np.median(gaps):.0f} ms, "
            f"95 % {np.percentile(gaps, 95):.0f} ms, longest {gaps.max():.0f} ms ({len(gaps)} "
            f"frames); server memory at most {server.peak_memory() / 2**30:.2f} GiB"
        )


def test_server_lost_while_clicks_wait(open_page, server, tank):
    desk = open_page()
    server.wait_for_model()
    x, y, radius = tank
    desk.go_to(x, y, scale=2.0)
    places = [(x + dx * radius, y + dy * radius) for dx, dy in ((0, 0), (0.4, 0), (-0.4, 0.2))]
    desk.click(*places[0])
    desk.settled()
    server.kill()
    desk.click(*places[1])
    desk.click(*places[2])
    desk.part("banner").wait_for()
    assert "2 steps wait" in desk.part("banner").inner_text()
    desk.press("Enter")

    server.start()
    desk.part("banner").wait_for(state="hidden")
    desk.settled()
    images = server.get("project")["images"]
    (made,) = server.get(f"images/{images[0]['id']}/objects")
    assert made["clicks"] == 3
    assert server.get(f"sessions?image_id={images[0]['id']}") == []
    assert desk.part("object-row").count() == 1
    desk.expect_trouble()


def test_reload_brings_an_unfinished_object_back(open_page, server, tank):
    desk = open_page()
    server.wait_for_model()
    x, y, radius = tank
    desk.go_to(x, y, scale=2.0)
    desk.click(x, y)
    desk.click(x + 0.4 * radius, y)
    desk.page.reload()  # while they are computed
    desk.loaded()
    desk.settled()
    assert "2 clicks" in desk.part("session-detail").inner_text()
    desk.press("Control+z")
    desk.settled()
    assert "1 click" in desk.part("session-detail").inner_text()


def test_by_keyboard_alone(open_page, server):
    desk = open_page()
    desk.make_classes(*KINDS)
    server.wait_for_model()
    detail = desk.part("session-detail")
    desk.press("ArrowRight", *["+"] * 6, "Space")
    desk.settled()
    assert "1 click" in detail.inner_text()
    desk.press(*["ArrowDown"] * 3, "Space", *["ArrowLeft"] * 9, "Shift+Space")
    desk.settled()
    assert "3 clicks" in detail.inner_text()
    desk.press("Control+z", "3", "Enter")
    desk.settled()
    row = desk.part("object-row")
    assert row.inner_text().split("\n")[1:2] + row.inner_text().split("\n")[-1:] == [KINDS[2], "2"]

    desk.press("n", "1")  # selects it, changes its class
    desk.settled()
    assert KINDS[0] in row.inner_text()
    desk.press("Delete")
    row.wait_for(state="detached")
    desk.press("Control+z")
    row.wait_for()
    desk.press("n", "r", "ArrowRight", "Space", "Enter")  # refines it
    desk.settled()
    assert row.inner_text().split("\n")[-1] == "3"
    assert row.count() == 1
    desk.press("?")
    desk.part("help-sheet").wait_for()
    desk.press("Escape")
    desk.part("help-sheet").wait_for(state="detached")


NAMELESS = """() => [...document.querySelectorAll("button, input, select, [role=grid]")]
  .filter((one) => !(one.ariaLabel || one.innerText.trim() || one.labels?.[0]?.innerText.trim()))
  .map((one) => one.outerHTML)"""


def test_every_control_has_a_name(open_page):
    desk = open_page()
    assert desk.page.evaluate(NAMELESS) == []
    for name in ("images", "recipe", "import", "export", "help", "edit-classes"):
        desk.part(name).click()
        if name == "edit-classes":
            desk.part("add-class").click()
        assert desk.page.evaluate(NAMELESS) == [], name
        desk.page.locator("dialog [aria-label=Close]").click()
        desk.page.locator("dialog").wait_for(state="detached")


def test_files_and_bands(open_page, server, raster, tank, tmp_path):
    desk = open_page()
    server.wait_for_model()
    x, y, _ = tank
    desk.draw(x, y, scale=2.0)
    table = desk.export("gpkg", tmp_path)
    desk.part("import").click()
    desk.part("import-file").set_input_files(table)
    desk.part("confirm").click()
    choice = desk.part("import-choice")
    choice.get_by_text("1 object in it where one is already").wait_for()
    desk.part("import-repeated").select_option("add")
    choice.locator("[data-testid=confirm]").click()
    desk.part("object-count").get_by_text("2 objects").wait_for()
    image = server.get("project")["images"][0]["id"]
    first, second = server.get(f"images/{image}/objects")
    assert first["geometry"] == second["geometry"]

    def colourful() -> bool:
        shot = np.asarray(Image.open(io.BytesIO(desk.part("map").screenshot())).convert("RGB"))
        return bool(np.ptp(shot[-200:-60, 200:500].astype(int), axis=-1).mean() > 8)

    desk.press("h", "v")
    desk.settled()
    assert colourful()
    desk.part("recipe").click()
    for band in ("red", "green", "blue"):
        desk.part(f"band-{band}").select_option("2" if band == "red" else "0")
    desk.part("confirm").click()
    desk.page.locator("dialog").wait_for(state="detached")
    desk.settled()
    assert not colourful()

    plain = tmp_path / "plain.png"  # no coordinates
    Image.fromarray(SyntheticSource("test", size=256)[2].image).save(plain)
    desk.part("images").click()
    desk.part("upload-image").set_input_files(plain)
    desk.page.locator(".switcher").get_by_text("256 ").wait_for()
    desk.settled()
    assert desk.part("object-count").inner_text() == "0 objects"
    desk.page.mouse.move(*desk.middle)
    desk.page.wait_for_timeout(100)
    assert not desk.part("ground").is_visible()
    desk.press("c", "ArrowRight", "Space", "Enter")
    desk.settled()
    assert desk.part("object-row").inner_text().split("\n")[-2].endswith(" px")


def test_an_export_shows_how_far_it_is_and_can_be_cancelled(open_page, tmp_path):
    from playwright.sync_api import expect

    desk = open_page()
    removed = []

    def half_done(route):
        id = route.request.url.split("/")[-1].split("?")[0]
        if route.request.method == "DELETE":
            removed.append(id)
            return route.continue_()
        half = {"id": id, "state": "running", "done": 30, "total": 100, "seconds_left": 12.2}
        return route.fulfill(json=half | {"error": None, "name": None, "size": None})

    desk.page.route(re.compile(r"/api/exports/\w+(\?.*)?$"), half_done)
    dialog = desk.part("export-dialog")
    for end in ("cancel", "close"):
        desk.part("export").click()
        dialog.locator("input[value=coco-polygons]").check()
        desk.part("confirm").click()
        expect(desk.part("export-progress")).to_have_text("30 %, about 12 s left")
        assert desk.part("confirm").is_disabled()
        with desk.page.expect_response(lambda reply: reply.request.method == "DELETE"):
            if end == "cancel":
                desk.part("export-cancel").click()
            else:
                desk.page.keyboard.press("Escape")
        if end == "cancel":
            expect(dialog.get_by_role("alert")).to_have_text("The export was cancelled")
            desk.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    assert len(set(removed)) == 2
    desk.page.unroute_all()
    assert json.loads(desk.export("coco-polygons", tmp_path).read_text())["images"]
