"""Corners edited by hand, and drags that are called off."""

from typing import Any

import numpy as np
import pytest

from tests.browser import PageDriver

pytest.importorskip("rasterio")
pytestmark = pytest.mark.slow


@pytest.fixture
def few_corners(open_page, server, tank) -> tuple[PageDriver, int]:
    """A tab in which a new object's corners are edited, and the image's id."""
    driver = open_page()
    server.wait_for_model()
    x, y, _ = tank
    driver.draw(x, y, scale=6.0)
    driver.press("n")
    driver.settled()
    driver.press("e")
    driver.part("simplify").click()
    return driver, server.get("project")["images"][0]["id"]


def leftmost(driver: PageDriver, made: dict[str, Any]) -> np.ndarray:
    """Where an object's leftmost corner is on the screen."""
    ring = np.array(made["geometry"]["coordinates"][0])
    return driver.on_screen(ring[ring[:, 0].argmin()][None])[0]


def drag_to_the_left(driver: PageDriver, left: float, top: float) -> None:
    """Moves the corner there by 60 pixels of the screen, and finishes."""
    driver.page.mouse.move(left, top)
    driver.page.mouse.down()
    driver.page.mouse.move(left - 60, top, steps=5)
    driver.page.mouse.up()
    driver.press("Enter")
    driver.settled()


def test_corners_by_hand(few_corners, server):
    driver, image = few_corners
    (before,) = server.get(f"images/{image}/objects")
    left, top = leftmost(driver, before)
    drag_to_the_left(driver, left, top)
    (after,) = server.get(f"images/{image}/objects")
    assert after["bbox"][0] == pytest.approx(before["bbox"][0] - 10, abs=1.5)
    driver.press("Control+z")
    driver.settled()
    (undone,) = server.get(f"images/{image}/objects")
    assert undone["geometry"] == before["geometry"]


def test_corners_snap_to_other_objects(few_corners, server):
    driver, image = few_corners
    (before,) = server.get(f"images/{image}/objects")
    driver.press("Escape")
    ring = np.array(before["geometry"]["coordinates"][0])
    x, y = ring[ring[:, 0].argmin()] - (8.4, 0)  # a corner of its neighbour
    square = [[x - 9, y - 9], [x, y - 9], [x, y], [x - 9, y], [x - 9, y - 9]]
    shape = {"type": "Polygon", "coordinates": [square]}
    server.send("POST", f"images/{image}/objects", {"geometry": shape})
    driver.page.reload()
    driver.loaded()
    driver.page.locator("[data-object='1']").click()
    driver.settled()
    driver.press("e")
    left, top = driver.on_screen(np.array([[x, y]]))[0]
    driver.page.mouse.move(*leftmost(driver, before))
    driver.page.mouse.down()
    driver.page.mouse.move(left + 3, top + 2, steps=5)
    driver.page.mouse.up()
    driver.press("Enter")
    driver.settled()
    after = {one["id"]: one for one in server.get(f"images/{image}/objects")}[before["id"]]
    assert after["bbox"][0] == pytest.approx(x, abs=2e-3)


def test_corners_by_keyboard(few_corners, server):
    driver, image = few_corners

    def corners():
        driver.settled()
        (made,) = server.get(f"images/{image}/objects")
        return [tuple(corner) for corner in made["geometry"]["coordinates"][0][:-1]]

    driver.page.evaluate("document.activeElement.blur()")
    driver.press("Enter")
    before = corners()
    scale = driver.view()[1]
    driver.press("e", "n", "n", "Space", *["Shift+ArrowRight"] * 6, "Space", "Shift+ArrowRight")
    driver.press("Enter")
    moved = corners()
    ((old, new),) = [pair for pair in zip(before, moved, strict=True) if pair[0] != pair[1]]
    assert new == pytest.approx((old[0] + 6 / scale, old[1]), abs=0.01)
    driver.press("e", "n", "p", "p", "Delete", "Control+z", "Control+y", "n", "Delete", "Enter")
    assert corners() == moved[:-2]
    # A new corner on an edge, and a change of mind.
    driver.press("e", "n", "Space", "ArrowUp", "Escape")
    assert corners() == moved[:-2]


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
    driver = open_page()
    mouse, box = driver.page.mouse, driver.page.locator(".drag-box")
    for tool in "bc":
        for name, call_off in CALLED_OFF.items():
            driver.press(tool)
            mouse.move(500, 300)
            mouse.down()
            if tool == "b":
                mouse.move(600, 400, steps=4)
                assert box.count() == 1, name
            elif name in ("outside", "context menu"):
                mouse.move(520, 310, steps=3)  # panning
            call_off(driver.page)
            if name != "outside":
                assert box.count() == 0, name
                mouse.move(700, 450, steps=3)
                assert box.count() == 0, name
            mouse.up()
            driver.page.wait_for_timeout(50)
            assert server.get("sessions") == [], (tool, name)
    server.wait_for_model()
    # Afterwards everything is as ever.
    driver.press("b")
    mouse.move(500, 300)
    mouse.down()
    mouse.move(600, 400, steps=4)
    mouse.up()
    driver.settled()
    assert len(server.get("sessions")) == 1
    driver.press("c")
    mouse.click(560, 340)
    driver.settled()
    mouse.move(560, 350)
    mouse.down()
    driver.press("Escape")  # takes back the press, not the object
    mouse.up()
    driver.settled()
    (session,) = server.get("sessions")
    assert len(session["clicks"]) == 2
    mouse.click(560, 350, button="right")
    driver.settled()
    assert [c["positive"] for c in server.get("sessions")[0]["clicks"]] == [True, True, False]


def test_a_corner_that_is_called_off_stays(few_corners, server):
    driver, image = few_corners
    driver.page.evaluate("document.activeElement.blur()")
    driver.press("Enter")
    driver.settled()
    (before,) = server.get(f"images/{image}/objects")
    driver.press("e")
    left, top = leftmost(driver, before)
    for keys in (["Escape"], ["Control+z"], ["v", "e"]):
        driver.page.mouse.move(left, top)
        driver.page.mouse.down()
        driver.page.mouse.move(left - 60, top, steps=5)
        driver.press(*keys)
        driver.page.mouse.move(left - 90, top, steps=3)
        driver.page.mouse.up()
    driver.press("Enter")
    driver.settled()
    assert server.get(f"images/{image}/objects") == [before]
    driver.press("e")
    drag_to_the_left(driver, left, top)
    (after,) = server.get(f"images/{image}/objects")
    assert after["bbox"][0] == pytest.approx(before["bbox"][0] - 10, abs=1.5)
