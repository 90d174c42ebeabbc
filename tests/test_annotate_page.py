"""The annotator's page in a real browser, against the real server, on a large raster."""

import io
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.data.synthetic import SyntheticSource

from .browser import SIZE, Desk, Pictures, Server, chromium
from .proxy import SITE, notebook_proxy

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
pytestmark = pytest.mark.slow

SIDE, CELL = 12_000, 750
CRS, TRANSFORM = "EPSG:32632", (0.3, 0.0, 690_000.0, 0.0, -0.3, 5_335_000.0)
TANKS = 7  # the scene in the lower right corner
KINDS = ("building", "storage tank", "vehicle")
COLOUR = (0x3A, 0xA0, 0xFF)  # of the second class, as the page proposes it


@pytest.fixture(scope="module")
def raster(tmp_path_factory) -> Path:
    """A mosaic of generated scenes, written strip by strip."""
    path = tmp_path_factory.mktemp("raster") / "scene.tif"
    source = SyntheticSource("test", size=CELL)
    scenes = [source[i].image for i in range(12)]
    across = SIDE // CELL
    shape = {"width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    place = {"crs": CRS, "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **tiles, **place) as file:
        for row in range(across):
            numbers = [
                (TANKS + 5 * (across - 1 - row) + 7 * (across - 1 - c)) % 12 for c in range(16)
            ]
            strip = np.concatenate([scenes[number] for number in numbers], axis=1)
            window = rasterio.windows.Window(0, row * CELL, SIDE, CELL)
            file.write(strip.transpose(2, 0, 1), window=window)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def server(raster, browser, tmp_path) -> Iterator[Server]:
    started = Server(raster, tmp_path / "project")
    yield started
    started.kill()


@pytest.fixture
def open_page(browser, server):
    """Opens further tabs of one browser profile; in the end nobody may have complained."""
    context = browser.new_context(viewport=SIZE, color_scheme="dark", accept_downloads=True)
    desks: list[Desk] = []

    def opened() -> Desk:
        desks.append(Desk(context.new_page(), server.url))
        return desks[-1]

    yield opened
    context.close()
    for desk in desks:
        assert desk.complaints == []
        assert desk.hosts == {server.url.split("/")[2]}


@pytest.fixture
def elsewhere(browser, server):
    """Opens the page in another browser profile."""
    context = browser.new_context(viewport=SIZE)
    yield lambda: Desk(context.new_page(), server.url)
    context.close()


@pytest.fixture(scope="module")
def tank() -> tuple[float, float, float]:
    """Centre (x, y) and radius of a storage tank near the lower right corner, pixels."""
    scene = SyntheticSource("test", size=CELL)[TANKS]
    best = None
    for item in scene.objects:
        rows, columns = np.nonzero(scene.mask(item))
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        inside = min(box[:2]) > 150 and max(box[2:]) < CELL - 150
        if item.category == "storage_tank" and inside and (best is None or len(rows) > best[0]):
            best = len(rows), columns.mean(), rows.mean()
    assert best is not None
    corner = SIDE - CELL
    return corner + best[1], corner + best[2], float(np.sqrt(best[0] / np.pi))


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


@pytest.fixture
def few_corners(open_page, server, tank) -> tuple[Desk, int]:
    """A tab in which a new object's corners are edited, and the image's id."""
    desk = open_page()
    server.wait_for_model()
    x, y, _ = tank
    desk.draw(x, y, scale=6.0)
    desk.press("n")
    desk.settled()
    desk.press("e")
    desk.part("simplify").click()
    return desk, server.get("project")["images"][0]["id"]


def test_corners_by_hand(few_corners, server):
    desk, image = few_corners
    (before,) = server.get(f"images/{image}/objects")
    ring = np.array(before["geometry"]["coordinates"][0])
    left, top = desk.on_screen(ring[ring[:, 0].argmin()][None])[0]
    desk.page.mouse.move(left, top)
    desk.page.mouse.down()
    desk.page.mouse.move(left - 60, top, steps=5)
    desk.page.mouse.up()
    desk.press("Enter")
    desk.settled()
    (after,) = server.get(f"images/{image}/objects")
    assert after["bbox"][0] == pytest.approx(before["bbox"][0] - 10, abs=1.5)
    desk.press("Control+z")
    desk.settled()
    (undone,) = server.get(f"images/{image}/objects")
    assert undone["geometry"] == before["geometry"]


def test_corners_by_keyboard(few_corners, server):
    desk, image = few_corners

    def corners():
        desk.settled()
        (made,) = server.get(f"images/{image}/objects")
        return [tuple(corner) for corner in made["geometry"]["coordinates"][0][:-1]]

    desk.page.evaluate("document.activeElement.blur()")
    desk.press("Enter")
    before = corners()
    scale = desk.view()[1]
    desk.press("e", "n", "n", "Space", *["Shift+ArrowRight"] * 6, "Space", "Shift+ArrowRight")
    desk.press("Enter")
    moved = corners()
    ((old, new),) = [pair for pair in zip(before, moved, strict=True) if pair[0] != pair[1]]
    assert new == pytest.approx((old[0] + 6 / scale, old[1]), abs=0.01)
    desk.press("e", "n", "p", "p", "Delete", "Control+z", "Control+y", "n", "Delete", "Enter")
    assert corners() == moved[:-2]
    # A new corner on an edge, and a change of mind.
    desk.press("e", "n", "Space", "ArrowUp", "Escape")
    assert corners() == moved[:-2]


def test_two_tabs_draw_two_objects(open_page, server, tank):
    first = open_page()
    server.wait_for_model()
    x, y, _ = tank
    first.go_to(x, y, scale=2.0)
    first.click(x, y)
    first.settled()
    second = open_page()
    second.part("unfinished").wait_for()  # the first tab's, left alone
    second.press("ArrowRight", "Space", "Enter")
    second.settled()
    first.page.bring_to_front()
    assert "1 click" in first.part("session-detail").inner_text()
    first.press("Enter")
    first.settled()
    first.page.reload()
    first.loaded()
    first.part("object-count").get_by_text("2 objects").wait_for()


# Controls without a name that a screen reader could say.
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


def test_the_token_is_kept_out_of_sight_and_asked_for_again(open_page, server, tank):
    desk = open_page()
    assert desk.page.url == server.url.partition("#")[0]
    server.wait_for_model()
    x, y, radius = tank
    desk.go_to(x, y, scale=2.0)
    server.kill()
    desk.click(x, y)
    desk.click(x + 0.4 * radius, y)
    (server.project / "token").unlink()
    server.start()  # with another token
    desk.part("token-prompt").wait_for()
    desk.part("token").fill("a wrong one")
    desk.page.keyboard.press("Enter")
    desk.part("token-prompt").get_by_text("Nothing is lost").wait_for()
    desk.part("token").fill(server.url)
    desk.page.keyboard.press("Enter")
    desk.part("token-prompt").wait_for(state="hidden")
    server.wait_for_model()
    desk.settled()
    assert "2 clicks" in desk.part("session-detail").inner_text()
    desk.page.reload()
    desk.loaded()
    desk.expect_trouble("401")


def test_an_object_behind_a_proxy(raster, browser, tank, tmp_path):
    """Names, paths and origins are others than the server's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with notebook_proxy(port) as proxy:
        options = ["--base-url", proxy.url, "--allow-origin", SITE]
        server = Server(raster, tmp_path / "project", *options, port=port)
        try:
            assert server.url.startswith(proxy.url)
            page = browser.new_context(viewport=SIZE).new_page()
            desk = Desk(page, server.url)
            server.wait_for_model()
            x, y, _ = tank
            desk.draw(x, y, scale=2.0)
            assert desk.part("object-row").count() == 1
            (made,) = server.get("images/1/objects")
            assert made["clicks"] == 1
            desk.page.reload()
            desk.loaded()
            desk.settled()
            assert desk.complaints == []
            desk.page.context.close()
        finally:
            server.kill()
    assert proxy.strays == []
    assert not any(server.token in line for line in proxy.asked)
    tiles = [line for line in proxy.asked if "/tiles/" in line]
    assert len(tiles) == len(set(tiles)) > 5  # the browser kept them over the reload


def squares(server: Server, folder: Path, count: int) -> Path:
    """A file of `count` objects, 40 pixels wide, that its image can import."""
    rings = []
    for n in range(count):
        x, y = 100 + 60 * (n % 100), 100 + 60 * (n // 100)
        corners = ((x, y), (x + 40, y), (x + 40, y + 40), (x, y + 40), (x, y))
        rings.append(
            [[TRANSFORM[2] + 0.3 * left, TRANSFORM[5] - 0.3 * top] for left, top in corners]
        )
    shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in rings]
    content = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}},
        "features": [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes],
    }
    file = folder / "squares.geojson"
    file.write_text(json.dumps(content))
    return file


def test_undo_survives_a_reload(open_page, server, tmp_path):
    desk = open_page()
    total = desk.part("object-count")
    desk.part("import").click()
    desk.part("import-file").set_input_files(squares(server, tmp_path, 3000))
    desk.part("confirm").click()
    notice = desk.says("3,000 objects imported")
    notice.get_by_role("button", name="Undo").click()
    desk.says("Undone: import of 3000 objects")
    assert total.inner_text() == "0 objects"

    desk.page.reload()
    desk.loaded()
    desk.part("show-deleted").click()
    rows = desk.part("deleted-row")
    rows.first.wait_for()
    assert rows.count() < 60  # only those in sight
    assert rows.first.get_attribute("data-object") == "3000"
    before = desk.part("map").screenshot()
    rows.first.hover()
    desk.page.wait_for_timeout(300)
    assert desk.part("map").screenshot() != before  # where it was
    desk.part("restore").first.click()
    total.get_by_text("1 object").wait_for()
    assert rows.first.get_attribute("data-object") == "2999"
    desk.part("show-deleted").click()
    row = desk.part("object-row")
    row.wait_for()
    row.click()
    desk.press("Delete")
    row.wait_for(state="detached")

    desk.page.reload()
    desk.loaded()
    desk.press("Control+z")
    desk.says("Undone: deletion of object 3000")
    row.wait_for()
    # What was drawn and discarded comes back, and nothing that was finished goes.
    server.wait_for_model()
    desk.press("c", "ArrowRight", *["+"] * 6, "Space")
    desk.settled()
    detail = desk.part("session-detail").inner_text()
    desk.press("Escape", "Control+z")  # both before the server has answered
    desk.says("Undone: discarding of an object, 1 step")
    desk.settled()
    assert desk.part("session-detail").inner_text() == detail
    assert total.inner_text() == "1 object"
    desk.press("Enter", "Control+z")
    desk.says("Undone: object 3001")
    desk.press("Control+y")
    total.get_by_text("2 objects").wait_for()
    desk.press("Control+y")
    desk.says("nothing to redo")
    desk.expect_trouble()


def test_clicks_wait_for_their_own_project(open_page, server, tank, tmp_path, monkeypatch):
    """After a restart another one is served at the same address, with the same ids and token."""
    monkeypatch.setenv("RSISREFINER_TOKEN", server.token)
    desk = open_page()
    server.wait_for_model()
    x, y, radius = tank
    desk.go_to(x, y, scale=2.0)
    desk.click(x, y)
    desk.settled()
    own = server.project
    server.kill()
    desk.click(x + 0.4 * radius, y)
    desk.part("banner").wait_for()
    server.project = tmp_path / "other"
    server.start()
    desk.says(f"1 click waits for project {own.name}")
    desk.loaded()
    assert server.get("sessions") == []
    server.send("POST", "sessions", {"image_id": 1})
    desk.page.reload()
    desk.says("1 click waits")
    desk.loaded()
    (there,) = server.get("sessions")
    assert there["clicks"] == []
    assert not desk.part("session-detail").inner_text()  # begun elsewhere: not taken over
    desk.part("unfinished").wait_for()

    server.kill()
    desk.part("banner").wait_for()
    server.project = own
    server.start()
    desk.part("session-detail").get_by_text("2 clicks").wait_for()
    desk.settled()
    (session,) = server.get("sessions")
    assert len(session["clicks"]) == 2
    desk.expect_trouble()


def test_another_browser_takes_nothing_over(open_page, elsewhere, server, tank):
    first = open_page()
    server.wait_for_model()
    x, y, radius = tank
    first.go_to(x, y, scale=2.0)
    first.click(x, y)
    first.settled()
    second = elsewhere()
    second.part("unfinished").wait_for()
    assert not second.part("session-detail").inner_text()
    second.press("Escape", "Enter")
    second.page.reload()
    second.loaded()
    second.part("unfinished").wait_for()
    first.page.reload()
    first.loaded()
    assert "1 click" in first.part("session-detail").inner_text()

    first.press("Enter")
    first.settled()
    for desk in (first, second):
        desk.page.reload()
        desk.loaded()
        desk.part("object-row").click()
        desk.press("r")
        desk.settled()
    second.says("refined elsewhere")
    first.click(x + 0.4 * radius, y)
    first.press("Enter")
    first.settled()
    (mine,) = server.get("images/1/objects")
    second.go_to(x, y, scale=2.0)
    second.click(x - 0.4 * radius, y)
    second.settled()
    second.press("Enter")
    notice = second.says("object 1 was changed or deleted")
    assert server.get("images/1/objects") == [mine]
    assert "2 clicks" not in second.part("session-detail").inner_text()
    assert "1 click" in second.part("session-detail").inner_text()  # it stays open
    notice.get_by_role("button", name="Overwrite").click()
    second.settled()
    assert server.get("images/1/objects") != [mine]
    second.press("Control+z")
    second.says("Undone: refinement of object 1")
    assert server.get("images/1/objects") == [mine]


CALLED_OFF = {
    "escape": lambda page: page.keyboard.press("Escape"),
    "a tool key": lambda page: page.keyboard.press("v"),
    "back to the tool": lambda page: [page.keyboard.press(key) for key in "cb"],
    "a dialog": lambda page: [page.keyboard.press(key) for key in ("?", "Escape")],
    "lost pointer": lambda page: page.evaluate(
        "document.querySelector('.ol-viewport').dispatchEvent("
        "new PointerEvent('pointercancel', {bubbles: true, pointerId: 1, pointerType: 'mouse'}))"
    ),
    "lost window": lambda page: page.evaluate("dispatchEvent(new Event('blur'))"),
    "outside": lambda page: page.mouse.move(400, -30),
    "context menu": lambda page: page.evaluate(
        "document.querySelector('.ol-viewport').dispatchEvent("
        "new MouseEvent('contextmenu', {bubbles: true, clientX: 400, clientY: 300}))"
    ),
}


def test_a_drag_that_is_called_off_starts_nothing(open_page, server):
    desk = open_page()
    mouse, box = desk.page.mouse, desk.page.locator(".drag-box")
    for tool in "bc":
        for name, call_off in CALLED_OFF.items():
            desk.press(tool)
            mouse.move(500, 300)
            mouse.down()
            if tool == "b":
                mouse.move(600, 400, steps=4)
                assert box.count() == 1, name
            elif name in ("outside", "context menu"):
                mouse.move(520, 310, steps=3)  # panning
            call_off(desk.page)
            if name != "outside":
                assert box.count() == 0, name
                mouse.move(700, 450, steps=3)
                assert box.count() == 0, name
            mouse.up()
            desk.page.wait_for_timeout(50)
            assert server.get("sessions") == [], (tool, name)
    server.wait_for_model()
    # Afterwards everything is as ever.
    desk.press("b")
    mouse.move(500, 300)
    mouse.down()
    mouse.move(600, 400, steps=4)
    mouse.up()
    desk.settled()
    assert len(server.get("sessions")) == 1
    desk.press("c")
    mouse.click(560, 340)
    desk.settled()
    mouse.move(560, 350)
    mouse.down()
    desk.press("Escape")  # takes back the press, not the object
    mouse.up()
    desk.settled()
    (session,) = server.get("sessions")
    assert len(session["clicks"]) == 2
    mouse.click(560, 350, button="right")
    desk.settled()
    assert [c["positive"] for c in server.get("sessions")[0]["clicks"]] == [True, True, False]


def test_a_corner_that_is_called_off_stays(few_corners, server):
    desk, image = few_corners
    desk.page.evaluate("document.activeElement.blur()")
    desk.press("Enter")
    desk.settled()
    (before,) = server.get(f"images/{image}/objects")
    ring = np.array(before["geometry"]["coordinates"][0])
    desk.press("e")
    left, top = desk.on_screen(ring[ring[:, 0].argmin()][None])[0]
    for keys in (["Escape"], ["Control+z"], ["v", "e"]):
        desk.page.mouse.move(left, top)
        desk.page.mouse.down()
        desk.page.mouse.move(left - 60, top, steps=5)
        desk.press(*keys)
        desk.page.mouse.move(left - 90, top, steps=3)
        desk.page.mouse.up()
    desk.press("Enter")
    desk.settled()
    assert server.get(f"images/{image}/objects") == [before]
    desk.press("e")
    desk.page.mouse.move(left, top)
    desk.page.mouse.down()
    desk.page.mouse.move(left - 60, top, steps=5)
    desk.page.mouse.up()
    desk.press("Enter")
    desk.settled()
    (after,) = server.get(f"images/{image}/objects")
    assert after["bbox"][0] == pytest.approx(before["bbox"][0] - 10, abs=1.5)


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
