"""The annotator as a person meets it: its server in a process, its page in headless Chromium."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = {"width": 1280, "height": 720}
PATIENCE = 120_000  # ms


class Server:
    """`python -m rsisrefiner_jax.annotate` on one raster; may be killed and started again.

    url: what it printed to open, with the token.
    """

    def __init__(self, raster: Path, project: Path, *options: str, port: int = 0) -> None:
        # The small network is ready sooner; ANNOTATE_CHECKPOINT tries another one out.
        model = os.environ.get("ANNOTATE_CHECKPOINT", "small")
        self._command = [sys.executable, "-m", "rsisrefiner_jax.annotate", str(raster)]
        self._options = list(options)
        self._command += ["--checkpoint", model]
        self.project = project
        self.port = port
        self.token = ""
        self.start()

    def start(self) -> None:
        command = [*self._command, "--project", str(self.project), *self._options]
        command += ["--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.match(r"open (\S+)#token=(\S+)", line):
                self.url, self.token = f"{found[1]}#token={found[2]}", found[2]
                self.port = self.port or int(found[1].rstrip("/").rpartition(":")[2])
                break
        assert self.token, "the server did not start; see its output above"
        self._until(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.get("project"))
        return False

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE / 1000
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """As another client does."""
        request = urllib.request.Request(
            f"http://localhost:{self.port}/api/{path}",
            None if method == "GET" else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def wait_for_model(self) -> None:
        def loaded() -> bool:
            model = self.get("project")["model"]
            assert model["error"] is None, model["error"]
            return model["ready"]

        self._until(loaded)

    def peak_memory(self) -> int:
        """Bytes that the process held at most so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


class PageDriver:
    """A browser tab with the page in it. Positions are pixels of the image, (x, y).

    complaints: what the browser's console said, and errors of the page. hosts: whom it asked.
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        page.goto(url)
        self.loaded()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("blob:", "data:")):
            self.hosts.add(request.url.split("/")[2])

    def expect_trouble(self, *further: str) -> None:
        """Forgets what the console said about requests that found no server, or a refusal."""
        lost = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "409")
        lost = (*lost, *further)
        self.complaints = [c for c in self.complaints if not any(word in c for word in lost)]

    def part(self, name: str) -> Any:
        return self.page.get_by_test_id(name)

    def loaded(self) -> None:
        self.page.locator(".switcher .size:not(:empty)").wait_for()
        self.page.wait_for_load_state("networkidle")

    def settled(self) -> None:
        """Waits until nothing is computed and every tile is there."""
        self.page.wait_for_timeout(100)
        self.page.locator("[data-testid=saved][data-state=saved]").wait_for()
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_timeout(300)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def make_classes(self, *names: str) -> None:
        self.part("edit-classes").click()
        dialog = self.part("class-dialog")
        for i, name in enumerate(names):
            self.part("add-class").click()
            dialog.get_by_label("Name", exact=True).nth(i).fill(name)
        self.part("confirm").click()
        self.part(f"class-{names[-1]}").wait_for()

    def pixel_at(self, left: float, top: float) -> tuple[float, float]:
        """What the page says lies at a place of the screen."""
        self.page.mouse.move(left, top)
        self.page.wait_for_timeout(50)
        pixel = self.part("pixel")
        return float(pixel.get_attribute("data-x")), float(pixel.get_attribute("data-y"))

    def view(self) -> tuple[np.ndarray, float]:
        """offset [2] and scale: screen position = offset + scale * (x, y)."""
        near, far = np.array([400.0, 250.0]), np.array([800.0, 600.0])
        first, last = np.array(self.pixel_at(*near)), np.array(self.pixel_at(*far))
        scale = float(((far - near) / (last - first)).mean())
        return near - scale * first, scale

    def on_screen(self, points: np.ndarray) -> np.ndarray:
        """Screen positions of image positions [n, 2]."""
        offset, scale = self.view()
        return offset + scale * points

    def go_to(self, x: float, y: float, scale: float) -> None:
        """By wheel and by dragging, until (x, y) is in the middle, `scale` screen pixels each."""
        middle = np.array(self.middle)
        for _ in range(60):
            offset, present = self.view()
            if abs(present / scale - 1) < 0.02:
                break
            self.page.mouse.move(
                *np.clip(offset + present * np.array([x, y]), (60, 60), (960, 680))
            )
            self.page.mouse.wheel(0, float(np.clip(-300 * np.log2(scale / present), -400, 400)))
            self.page.wait_for_timeout(350)
        for _ in range(20):
            offset, present = self.view()
            away = middle - (offset + present * np.array([x, y]))
            if np.hypot(*away) < 3:
                break
            self.page.mouse.move(*(middle - np.clip(away, -180, 180) / 2))
            self.page.mouse.down()
            self.page.mouse.move(*(middle + np.clip(away, -180, 180) / 2), steps=4)
            self.page.wait_for_timeout(200)  # no throw
            self.page.mouse.up()
        self.settled()

    @property
    def middle(self) -> tuple[float, float]:
        box = self.part("map").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def says(self, text: str) -> Any:
        """The notice with these words, once it is there."""
        notice = self.part("toast").filter(has_text=text).last
        notice.wait_for()
        return notice

    def click(self, x: float, y: float, button: str = "left") -> None:
        left, top = self.on_screen(np.array([[x, y]]))[0]
        self.page.mouse.click(left, top, button=button)

    def draw(self, x: float, y: float, scale: float) -> None:
        """An object of one click."""
        self.go_to(x, y, scale)
        self.click(x, y)
        self.press("Enter")
        self.settled()

    def export(self, form: str, folder: Path) -> Path:
        """The file that the export dialog gives."""
        self.part("export").click()
        self.part("export-dialog").locator(f"input[value={form}]").check()
        with self.page.expect_download() as waiting:
            self.part("confirm").click()
        target = folder / waiting.value.suggested_filename
        waiting.value.save_as(target)
        return target


class Pictures:
    """Screenshots, kept as the README's when ANNOTATE_PICTURES names a folder."""

    def __init__(self, driver: PageDriver, folder: Path) -> None:
        self._driver = driver
        self._folder = Path(os.environ.get("ANNOTATE_PICTURES", folder))
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str) -> np.ndarray:
        """The screen, uint8 [h, w, 3]."""
        path = self._folder / f"{name}.png"
        self._driver.page.screenshot(path=path)
        image = Image.open(path).convert("RGB")
        small = image.resize((960, 540), Image.Resampling.LANCZOS)
        palette = small.quantize(
            256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )  # keeps rare colours, which the marks on the map are
        palette.save(path, optimize=True)
        return np.asarray(image)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser, or a skip that says what is missing."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
