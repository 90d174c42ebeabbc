"""The QGIS plugin in QGIS itself, without a screen; needs Debian's qgis and python3-qgis."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsisrefiner_jax.data.synthetic import SyntheticSource
from tests.browser import Server
from tests.page.scene import CELL, CRS, TANKS, TRANSFORM

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent.parent / "integrations" / "qgis" / "tests" / "in_qgis.py"
PYTHON = os.environ.get("QGIS_PYTHON", "/usr/bin/python3")


@pytest.fixture
def qgis():
    """Runs a script in QGIS's Python, which is not that of the tests."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = own | {"QT_QPA_PLATFORM": "offscreen"}
    try:
        look = [PYTHON, "-c", "import qgis.core"]
        subprocess.run(look, check=True, capture_output=True, env=environment)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("QGIS is not installed: apt-get install qgis python3-qgis")

    def run(**variables):
        given = environment | {"QGIS_CUSTOM_CONFIG_PATH": variables.pop("home")} | variables
        return subprocess.run(
            [PYTHON, str(SCRIPT)], capture_output=True, text=True, env=given, timeout=600
        )

    return run


def test_the_plugin_in_qgis(qgis, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    scene = SyntheticSource("test", size=CELL)[TANKS]
    file = tmp_path / "data" / "scene.tif"
    file.parent.mkdir()
    shape = {"width": CELL, "height": CELL, "count": 3, "dtype": "uint8"}
    place = {"crs": CRS, "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(file, "w", driver="GTiff", **shape, **place) as out:
        out.write(scene.image.transpose(2, 0, 1))
    masks = [scene.mask(item) for item in scene.objects if item.category == "storage_tank"]
    rows, columns = np.nonzero(max(masks, key=np.count_nonzero))
    x, y, radius = columns.mean(), rows.mean(), np.sqrt(len(rows) / np.pi)
    clicks = [
        [x, y, True],
        [x + 0.5 * radius, y - 0.4 * radius, True],
        [x - 1.6 * radius, y, False],
    ]
    picture = Path(os.environ.get("QGIS_PICTURES", tmp_path)) / "qgis.png"
    server = Server(file, tmp_path / "project")
    try:
        server.wait_for_model()
        done = qgis(
            home=str(tmp_path / "qgis"),
            ANNOTATOR_ADDRESS=server.url,
            RASTER=str(file),
            CLICKS=json.dumps(clicks),
            PICTURE=str(picture),
        )
    finally:
        server.kill()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    assert "OK" in done.stderr
    seen = Image.open(picture).convert("RGB")
    assert seen.size == (1200, 700)
    small = seen.resize((960, 560), Image.Resampling.LANCZOS)
    octree = Image.Quantize.FASTOCTREE  # keeps rare colours, which the marks are
    small.quantize(256, method=octree, dither=Image.Dither.NONE).save(picture, optimize=True)
