"""A server on a large raster, and its page in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsisrefiner_jax.data.synthetic import SyntheticSource
from tests.browser import SIZE, PageDriver, Server, chromium
from tests.page.scene import CELL, SIDE, TANKS, write_mosaic


@pytest.fixture(scope="session")
def raster(tmp_path_factory) -> Path:
    pytest.importorskip("rasterio")
    path = tmp_path_factory.mktemp("raster") / "scene.tif"
    write_mosaic(path)
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
    drivers: list[PageDriver] = []

    def opened() -> PageDriver:
        drivers.append(PageDriver(context.new_page(), server.url))
        return drivers[-1]

    yield opened
    context.close()
    for driver in drivers:
        assert driver.complaints == []
        assert driver.hosts == {server.url.split("/")[2]}


@pytest.fixture
def elsewhere(browser, server):
    """Opens the page in another browser profile."""
    context = browser.new_context(viewport=SIZE)
    yield lambda: PageDriver(context.new_page(), server.url)
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
