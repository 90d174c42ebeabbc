"""What the page says of files that were changed or are broken."""

import os
import time

import numpy as np
import pytest

from tests.browser import SIZE, PageDriver, Server, chromium

pytest.importorskip("fastapi")
rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.slow


def write(path, seed):
    """Noise with a bright square in its middle."""
    bands = np.random.default_rng(seed).integers(60, 90, (3, 600, 800), np.uint8)
    bands[:, 250:350, 350:450] += 120
    shape = {"count": 3, "height": 600, "width": 800, "dtype": "uint8"}
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **tiles) as file:
        file.write(bands)
    later = time.time() + 10 * seed
    os.utime(path, (later, later))


def test_a_changed_and_a_broken_file(tmp_path):
    scene, broken = tmp_path / "a.tif", tmp_path / "b.tif"
    write(scene, 1)
    write(broken, 1)
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) * 2 // 3])
    with chromium() as browser:
        server = Server(tmp_path, tmp_path / "project")
        try:
            server.wait_for_model()
            driver = PageDriver(browser.new_page(viewport=SIZE), server.url)
            before = server.get("images/1")
            write(scene, 2)
            driver.click(400, 300)
            banner = driver.part("banner")
            banner.get_by_text("a.tif: the file was changed, its pixels are others").wait_for()
            assert driver.part("toast").first.inner_text().startswith("a.tif: the file was changed")
            assert server.get("sessions?image_id=1") == []
            driver.part("accept-file").click()
            banner.wait_for(state="hidden")
            driver.settled()
            assert server.get("images/1")["recipe_hash"] != before["recipe_hash"]
            driver.click(400, 300)
            driver.press("Enter")
            driver.settled()
            assert len(server.get("images/1/objects")) == 1

            write(scene, 3)  # noticed without a click
            banner.get_by_text("its pixels are others").wait_for()

            driver.part("images").click()
            driver.part("project-images").get_by_text("b.tif").click()
            driver.part("project-images").wait_for(state="detached")
            driver.loaded()
            driver.page.get_by_text("blocks cannot be read").wait_for()
            refusals = [c for c in driver.complaints if "409" not in c]
            assert refusals == []
        finally:
            server.kill()
