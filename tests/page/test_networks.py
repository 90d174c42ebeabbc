"""A network that comes while the page is open: told of, taken with one click, nothing lost."""

import shutil

import pytest

from rsisrefiner_jax.networks import PACKAGED
from tests.browser import SIZE, PageDriver, Server, chromium
from tests.page.test_files import write

pytest.importorskip("fastapi")
pytest.importorskip("rasterio")
pytestmark = pytest.mark.slow


def test_a_new_network_is_one_click_away(tmp_path):
    write(tmp_path / "a.tif", 1)
    project = tmp_path / "project"
    with chromium() as browser:
        server = Server(tmp_path / "a.tif", project)
        try:
            server.wait_for_model()
            driver = PageDriver(browser.new_page(viewport=SIZE), server.url)
            driver.click(400, 300)
            driver.settled()
            (before,) = server.get("sessions?image_id=1")
            shutil.copytree(PACKAGED["small"], project / "networks" / ".mine")
            (project / "networks" / ".mine").rename(project / "networks" / "mine")
            driver.says("New network networks/mine").get_by_text("Use it").click()
            driver.says("networks/mine answers the next click")
            assert server.get("project")["model"]["name"] == "networks/mine"
            assert driver.part("model").inner_text() == "networks/mine"
            (after,) = server.get("sessions?image_id=1")
            assert after == before
            driver.click(420, 320)
            driver.press("Enter")
            driver.settled()
            assert len(server.get("images/1/objects")) == 1

            driver.part("model").click()
            dialog = driver.part("network-dialog")
            current = dialog.locator("[aria-current=true] .name")
            assert current.inner_text() == "networks/mine"
            driver.part("objects-left").fill("100")
            driver.part("objects-left").press("Tab")
            dialog.get_by_text("1 finished objects with clicks are too few").wait_for()
            driver.part("network-small").click()
            dialog.wait_for(state="detached")
            assert server.get("project")["model"]["name"] == "small"
            assert all("422" in complaint for complaint in driver.complaints)
        finally:
            server.kill()
