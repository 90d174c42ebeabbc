"""Several pages, projects and visits: what each sees of the others."""

import socket

import pytest

from tests.browser import SIZE, PageDriver, Server
from tests.page.scene import squares
from tests.proxy import SITE, notebook_proxy

pytest.importorskip("rasterio")
pytestmark = pytest.mark.slow


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


def test_the_token_is_kept_out_of_sight_and_asked_for_again(open_page, server, tank):
    driver = open_page()
    assert driver.page.url == server.url.partition("#")[0]
    server.wait_for_model()
    x, y, radius = tank
    driver.go_to(x, y, scale=2.0)
    server.kill()
    driver.click(x, y)
    driver.click(x + 0.4 * radius, y)
    (server.project / "token").unlink()
    server.start()  # with another token
    driver.part("token-prompt").wait_for()
    driver.part("token").fill("a wrong one")
    driver.page.keyboard.press("Enter")
    driver.part("token-prompt").get_by_text("Nothing is lost").wait_for()
    driver.part("token").fill(server.url)
    driver.page.keyboard.press("Enter")
    driver.part("token-prompt").wait_for(state="hidden")
    server.wait_for_model()
    driver.settled()
    assert "2 clicks" in driver.part("session-detail").inner_text()
    driver.page.reload()
    driver.loaded()
    driver.expect_trouble("401")


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
            driver = PageDriver(page, server.url)
            server.wait_for_model()
            x, y, _ = tank
            driver.draw(x, y, scale=2.0)
            assert driver.part("object-row").count() == 1
            (made,) = server.get("images/1/objects")
            assert made["clicks"] == 1
            driver.page.reload()
            driver.loaded()
            driver.settled()
            assert driver.complaints == []
            driver.page.context.close()
        finally:
            server.kill()
    assert proxy.strays == []
    assert not any(server.token in line for line in proxy.asked)
    tiles = [line for line in proxy.asked if "/tiles/" in line]
    assert len(tiles) == len(set(tiles)) > 5  # the browser kept them over the reload


def test_undo_survives_a_reload(open_page, server, tmp_path):
    driver = open_page()
    total = driver.part("object-count")
    driver.part("import").click()
    driver.part("import-file").set_input_files(squares(server, tmp_path, 3000))
    driver.part("confirm").click()
    notice = driver.says("3,000 objects imported")
    notice.get_by_role("button", name="Undo").click()
    driver.says("Undone: import of 3000 objects")
    assert total.inner_text() == "0 objects"

    driver.page.reload()
    driver.loaded()
    driver.part("show-deleted").click()
    rows = driver.part("deleted-row")
    rows.first.wait_for()
    assert rows.count() < 60  # only those in sight
    assert rows.first.get_attribute("data-object") == "3000"
    before = driver.part("map").screenshot()
    rows.first.hover()
    driver.page.wait_for_timeout(300)
    assert driver.part("map").screenshot() != before  # where it was
    driver.part("restore").first.click()
    total.get_by_text("1 object").wait_for()
    assert rows.first.get_attribute("data-object") == "2999"
    driver.part("show-deleted").click()
    row = driver.part("object-row")
    row.wait_for()
    row.click()
    driver.press("Delete")
    row.wait_for(state="detached")

    driver.page.reload()
    driver.loaded()
    driver.press("Control+z")
    driver.says("Undone: deletion of object 3000")
    row.wait_for()
    # What was drawn and discarded comes back, and nothing that was finished goes.
    server.wait_for_model()
    driver.press("c", "ArrowRight", *["+"] * 6, "Space")
    driver.settled()
    detail = driver.part("session-detail").inner_text()
    driver.press("Escape", "Control+z")  # both before the server has answered
    driver.says("Undone: discarding of an object, 1 step")
    driver.settled()
    assert driver.part("session-detail").inner_text() == detail
    assert total.inner_text() == "1 object"
    driver.press("Enter", "Control+z")
    driver.says("Undone: object 3001")
    driver.press("Control+y")
    total.get_by_text("2 objects").wait_for()
    driver.press("Control+y")
    driver.says("nothing to redo")
    driver.expect_trouble()


def test_clicks_wait_for_their_own_project(open_page, server, tank, tmp_path, monkeypatch):
    """After a restart another one is served at the same address, with the same ids and token."""
    monkeypatch.setenv("RSISREFINER_TOKEN", server.token)
    driver = open_page()
    server.wait_for_model()
    x, y, radius = tank
    driver.go_to(x, y, scale=2.0)
    driver.click(x, y)
    driver.settled()
    own = server.project
    server.kill()
    driver.click(x + 0.4 * radius, y)
    driver.part("banner").wait_for()
    server.project = tmp_path / "other"
    server.start()
    driver.says(f"1 click waits for project {own.name}")
    driver.loaded()
    assert server.get("sessions") == []
    server.send("POST", "sessions", {"image_id": 1})
    driver.page.reload()
    driver.says("1 click waits")
    driver.loaded()
    (there,) = server.get("sessions")
    assert there["clicks"] == []
    assert not driver.part("session-detail").inner_text()  # begun elsewhere: not taken over
    driver.part("unfinished").wait_for()

    server.kill()
    driver.part("banner").wait_for()
    server.project = own
    server.start()
    driver.part("session-detail").get_by_text("2 clicks").wait_for()
    driver.settled()
    (session,) = server.get("sessions")
    assert len(session["clicks"]) == 2
    driver.expect_trouble()


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
    for driver in (first, second):
        driver.page.reload()
        driver.loaded()
        driver.part("object-row").click()
        driver.press("r")
        driver.settled()
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
