"""The notebook's widget in a real Jupyter, in headless Chromium."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.data.synthetic import SyntheticSource
from tests.browser import PATIENCE

pytestmark = pytest.mark.slow
for needed in ("anywidget", "jupyterlab", "ipykernel", "rasterio"):
    pytest.importorskip(needed)

ROOT = Path(__file__).parents[2]
TOKEN = "a token for the test"
SIDE, TANKS, TANK = 750, 7, 4  # of a generated scene, its number, and that of an object
OUTLINE = (58, 160, 255)  # its colour
SHOW = """from rsisrefiner_jax.notebook import segment

widget = segment("scene.png")
widget"""
ASK = "print(widget.mask.shape, int(widget.mask.sum()), widget.clicks)"


@pytest.fixture(scope="module")
def tank(tmp_path_factory):
    """(folder, x, y, radius): a scene as "scene.png", and a storage tank on it."""
    folder = tmp_path_factory.mktemp("notebook")
    scene = SyntheticSource("test", size=SIDE)[TANKS]
    Image.fromarray(scene.image).save(folder / "scene.png")
    (tank,) = (item for item in scene.objects if item.id == TANK)
    rows, columns = np.nonzero(scene.mask(tank))
    return folder, columns.mean(), rows.mean(), np.sqrt(len(rows) / np.pi)


@pytest.fixture(scope="module")
def jupyter(tank):
    """The address of a JupyterLab in that folder, with a notebook of two cells."""
    folder = tank[0]
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": source, "metadata": {}, "outputs": []}
        | {"execution_count": None}
        for i, source in enumerate((SHOW, ASK))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    whole = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "clicks.ipynb").write_text(json.dumps(whole))
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps(news))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(folder / where) for name, where in own.items()}
    environment["PYTHONPATH"] = str(ROOT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", f"--ServerApp.root_dir={folder}"]
    command += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port_retries=0"]
    with open(folder / "jupyter.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api", process, folder / "jupyter.log")
        yield f"{address}/doc/tree/clicks.ipynb?token={urllib.request.quote(TOKEN)}"
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(address, process, log):
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def test_three_clicks_in_jupyter(browser, jupyter, tank):
    _, x, y, radius = tank
    page = browser.new_page(viewport={"width": 1000, "height": 760})
    page.set_default_timeout(PATIENCE)
    page.goto(jupyter)
    cells = page.locator(".jp-CodeCell")
    cells.first.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    widget = page.locator(".rsisrefiner-clicks")
    canvas, status = widget.locator("canvas"), widget.locator(".status")
    there = page.locator(".rsisrefiner-clicks[data-picture=there]")
    there.wait_for(timeout=3 * PATIENCE)  # the network is loaded and compiled first

    def click(x, y, button, expected):
        view = json.loads(widget.get_attribute("data-view"))
        place = (x - view["left"]) * view["scale"], (y - view["top"]) * view["scale"]
        canvas.click(position={"x": place[0], "y": place[1]}, button=button)
        status.filter(has_text=re.compile(rf"^{expected}, \d+ pixels$")).wait_for()

    click(x - 0.5 * radius, y + 0.4 * radius, "left", "1 click")
    canvas.hover(position={"x": 480, "y": 240})
    for _ in range(3):
        page.mouse.wheel(0, -150)
    page.wait_for_timeout(1000)
    click(x + 0.5 * radius, y - 0.4 * radius, "left", "2 clicks")
    click(x - 1.6 * radius, y, "right", "3 clicks")
    three = status.inner_text()
    page.wait_for_timeout(500)
    seen = Path(os.environ.get("NOTEBOOK_PICTURES", tank[0])) / "notebook.png"
    page.screenshot(path=seen)
    picture = Image.open(seen).convert("RGB")
    octree = Image.Quantize.FASTOCTREE  # keeps rare colours, which the marks are
    picture.quantize(256, method=octree, dither=Image.Dither.NONE).save(seen, optimize=True)
    widget.get_by_text("Undo").click()
    status.filter(has_text="2 clicks").wait_for()
    near = np.abs(np.asarray(picture).astype(int) - OUTLINE).sum(-1) < 60
    assert near.any()  # the outline was drawn

    cells.nth(1).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    output = cells.nth(1).locator(".jp-OutputArea-output pre")
    output.wait_for()
    said = re.fullmatch(r"\((\d+), (\d+)\) (\d+) (\(.*\))", output.inner_text().strip())
    assert (said[1], said[2]) == (str(SIDE), str(SIDE))
    assert int(said[3]) > 0
    assert said[4].count("True") == 2
    assert re.search(r"3 clicks, [1-9]\d* pixels", three)
    page.close()
