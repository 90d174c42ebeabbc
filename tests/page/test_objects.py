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
    driver = open_page()
    pictures = Pictures(driver, tmp_path / "pictures")
    pictures.take("1-open")
    driver.make_classes(*KINDS)
    x, y, radius = tank
    driver.go_to(x, y, scale=2.0)
    server.wait_for_model()

    driver.page.evaluate(FRAMES)
    driver.click(x, y)
    driver.click(x + 0.5 * radius, y - 0.4 * radius)
    driver.click(x - 1.6 * radius, y, button="right")
    pictures.take("2-computing")
    driver.page.mouse.move(*driver.middle)
    driver.settled()
    gaps = np.array(driver.page.evaluate("window.gaps"))
    pictures.take("3-clicks")
    detail = driver.part("session-detail")
    three = detail.inner_text()
    assert "3 clicks" in three

    driver.press("m")
    driver.settled()
    pictures.take("4-probabilities")
    driver.press("m", "Control+z")
    driver.settled()
    assert "2 clicks" in detail.inner_text()
    driver.press("Control+Shift+Z")
    driver.settled()
    assert detail.inner_text() == three
    driver.press("2", "Enter")
    driver.settled()
    assert driver.part("object-row").count() == 1

    driver.page.reload()
    driver.loaded()
    driver.press("o")
    driver.settled()
    row = driver.part("object-row").inner_text().split("\n")
    assert KINDS[1] in row
    assert row[-1] == "3"
    screen = pictures.take("5-reloaded")

    table = driver.export("gpkg", tmp_path)
    assert pyogrio.read_info(table)["crs"] == CRS
    _, _, shapes, _ = pyogrio.raw.read(table)
    shape = shapely.from_wkb(shapes[0])
    with rasterio.open(driver.export("ids-tif", tmp_path)) as file:
        mask = file.read(1) > 0
        to_pixels = np.linalg.inv(np.array(file.transform).reshape(3, 3))
        assert file.crs == rasterio.CRS.from_string(CRS)
    assert abs(shape.area / (mask.sum() * 0.3**2) - 1) < 0.005
    border = shapely.segmentize(shape, 0.3)
    ground = np.concatenate(
        [shapely.get_coordinates(part.exterior) for part in shapely.get_parts(border)]
    )
    drawn = driver.on_screen(ground @ to_pixels[:2, :2].T + to_pixels[:2, 2])
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
    driver = open_page()
    server.wait_for_model()
    x, y, radius = tank
    driver.go_to(x, y, scale=2.0)
    places = [(x + dx * radius, y + dy * radius) for dx, dy in ((0, 0), (0.4, 0), (-0.4, 0.2))]
    driver.click(*places[0])
    driver.settled()
    server.kill()
    driver.click(*places[1])
    driver.click(*places[2])
    driver.part("banner").wait_for()
    assert "2 steps wait" in driver.part("banner").inner_text()
    driver.press("Enter")

    server.start()
    driver.part("banner").wait_for(state="hidden")
    driver.settled()
    images = server.get("project")["images"]
    (made,) = server.get(f"images/{images[0]['id']}/objects")
    assert made["clicks"] == 3
    assert server.get(f"sessions?image_id={images[0]['id']}") == []
    assert driver.part("object-row").count() == 1
    driver.expect_trouble()


def test_reload_brings_an_unfinished_object_back(open_page, server, tank):
    driver = open_page()
    server.wait_for_model()
    x, y, radius = tank
    driver.go_to(x, y, scale=2.0)
    driver.click(x, y)
    driver.click(x + 0.4 * radius, y)
    driver.page.reload()  # while they are computed
    driver.loaded()
    driver.settled()
    assert "2 clicks" in driver.part("session-detail").inner_text()
    driver.press("Control+z")
    driver.settled()
    assert "1 click" in driver.part("session-detail").inner_text()


def test_by_keyboard_alone(open_page, server):
    driver = open_page()
    driver.make_classes(*KINDS)
    server.wait_for_model()
    detail = driver.part("session-detail")
    driver.press("ArrowRight", *["+"] * 6, "Space")
    driver.settled()
    assert "1 click" in detail.inner_text()
    driver.press(*["ArrowDown"] * 3, "Space", *["ArrowLeft"] * 9, "Shift+Space")
    driver.settled()
    assert "3 clicks" in detail.inner_text()
    driver.press("Control+z", "3", "Enter")
    driver.settled()
    row = driver.part("object-row")
    assert row.inner_text().split("\n")[1:2] + row.inner_text().split("\n")[-1:] == [KINDS[2], "2"]

    driver.press("n", "1")  # selects it, changes its class
    driver.settled()
    assert KINDS[0] in row.inner_text()
    driver.press("Delete")
    row.wait_for(state="detached")
    driver.press("Control+z")
    row.wait_for()
    driver.press("n", "r", "ArrowRight", "Space", "Enter")  # refines it
    driver.settled()
    assert row.inner_text().split("\n")[-1] == "3"
    assert row.count() == 1
    driver.press("?")
    driver.part("help-sheet").wait_for()
    driver.press("Escape")
    driver.part("help-sheet").wait_for(state="detached")


NAMELESS = """() => [...document.querySelectorAll("button, input, select, [role=grid]")]
  .filter((one) => !(one.ariaLabel || one.innerText.trim() || one.labels?.[0]?.innerText.trim()))
  .map((one) => one.outerHTML)"""


def test_every_control_has_a_name(open_page):
    driver = open_page()
    assert driver.page.evaluate(NAMELESS) == []
    for name in ("images", "recipe", "import", "export", "help", "edit-classes"):
        driver.part(name).click()
        if name == "edit-classes":
            driver.part("add-class").click()
        assert driver.page.evaluate(NAMELESS) == [], name
        driver.page.locator("dialog [aria-label=Close]").click()
        driver.page.locator("dialog").wait_for(state="detached")


def test_files_and_bands(open_page, server, raster, tank, tmp_path):
    driver = open_page()
    server.wait_for_model()
    x, y, _ = tank
    driver.draw(x, y, scale=2.0)
    table = driver.export("gpkg", tmp_path)
    driver.part("import").click()
    driver.part("import-file").set_input_files(table)
    driver.part("confirm").click()
    choice = driver.part("import-choice")
    choice.get_by_text("1 object in it where one is already").wait_for()
    driver.part("import-repeated").select_option("add")
    choice.locator("[data-testid=confirm]").click()
    driver.part("object-count").get_by_text("2 objects").wait_for()
    image = server.get("project")["images"][0]["id"]
    first, second = server.get(f"images/{image}/objects")
    assert first["geometry"] == second["geometry"]

    def colourful() -> bool:
        shot = np.asarray(Image.open(io.BytesIO(driver.part("map").screenshot())).convert("RGB"))
        return bool(np.ptp(shot[-200:-60, 200:500].astype(int), axis=-1).mean() > 8)

    driver.press("h", "v")
    driver.settled()
    assert colourful()
    driver.part("recipe").click()
    for band in ("red", "green", "blue"):
        driver.part(f"band-{band}").select_option("2" if band == "red" else "0")
    driver.part("confirm").click()
    driver.page.locator("dialog").wait_for(state="detached")
    driver.settled()
    assert not colourful()

    plain = tmp_path / "plain.png"  # no coordinates
    Image.fromarray(SyntheticSource("test", size=256)[2].image).save(plain)
    driver.part("images").click()
    driver.part("upload-image").set_input_files(plain)
    driver.page.locator(".switcher").get_by_text("256 ").wait_for()
    driver.settled()
    assert driver.part("object-count").inner_text() == "0 objects"
    driver.page.mouse.move(*driver.middle)
    driver.page.wait_for_timeout(100)
    assert not driver.part("coordinates").is_visible()
    driver.press("c", "ArrowRight", "Space", "Enter")
    driver.settled()
    assert driver.part("object-row").inner_text().split("\n")[-2].endswith(" px")


def test_an_export_shows_how_far_it_is_and_can_be_cancelled(open_page, tmp_path):
    from playwright.sync_api import expect

    driver = open_page()
    removed = []

    def half_done(route):
        id = route.request.url.split("/")[-1].split("?")[0]
        if route.request.method == "DELETE":
            removed.append(id)
            return route.continue_()
        half = {"id": id, "state": "running", "done": 30, "total": 100, "seconds_left": 12.2}
        return route.fulfill(json=half | {"error": None, "name": None, "size": None})

    driver.page.route(re.compile(r"/api/exports/\w+(\?.*)?$"), half_done)
    dialog = driver.part("export-dialog")
    for end in ("cancel", "close"):
        driver.part("export").click()
        dialog.locator("input[value=coco-polygons]").check()
        driver.part("confirm").click()
        expect(driver.part("export-progress")).to_have_text("30 %, about 12 s left")
        assert driver.part("confirm").is_disabled()
        with driver.page.expect_response(lambda reply: reply.request.method == "DELETE"):
            if end == "cancel":
                driver.part("export-cancel").click()
            else:
                driver.page.keyboard.press("Escape")
        if end == "cancel":
            expect(dialog.get_by_role("alert")).to_have_text("The export was cancelled")
            driver.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    assert len(set(removed)) == 2
    driver.page.unroute_all()
    assert json.loads(driver.export("coco-polygons", tmp_path).read_text())["images"]
