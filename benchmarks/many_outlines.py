"""How long the annotator takes with many outlines on one raster: in, on the page, and out.

    python -m benchmarks.many_outlines [--count 60000] [--page] [--profile import]

Outlines are made by a rule: stars of a dozen corners, some with a hole, one in seven a rectangle
along the edges of pixels. The server runs in this process, without a model. Seconds are those of a
clock, CPU seconds those of all threads of this process. --page opens the page in Chromium
(playwright) after the import and after another start, zooms it in and out, and counts frames. What
the annotator makes in advance when it starts is made first.
"""

import argparse
import contextlib
import cProfile
import functools
import pstats
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.annotator import write_raster
from benchmarks.measure import report

CELL = 24  # pixels that an outline has for itself
EXPORTS = ("gpkg", "geojson", "shp", "coco", "coco-polygons", "yolo", "ids-tif", "classes-tif")
ZOOMING = 6.0  # seconds


def write_outlines(file: Path, count: int) -> int:
    """A GeoPackage on the raster of `benchmarks.annotator.write_raster`; the side it needs."""
    from pyogrio import raw

    across = int(np.ceil(np.sqrt(count)))
    rng = np.random.default_rng(0)
    centres = np.stack([np.arange(count) % across, np.arange(count) // across], 1) * CELL + CELL / 2
    angles = np.sort(rng.uniform(0, 2 * np.pi, (count, 12)), axis=1)
    radii = rng.uniform(6, CELL / 2 - 1, (count, 12))
    stars = np.stack([radii * np.cos(angles), radii * np.sin(angles)], -1) + centres[:, None]
    shapes = shapely.polygons(stars)
    shapes = np.where(shapely.is_valid(shapes), shapes, shapely.buffer(shapely.points(centres), 8))
    low = np.floor(centres) - 6
    shapes[::7] = shapely.box(*low[::7].T, *(low[::7] + np.array((9, 11))).T)
    holes = shapely.buffer(shapely.points(centres[3::10]), 2, quad_segs=3)
    shapes[3::10] = shapely.difference(shapes[3::10], holes)
    shapes = shapely.transform(shapes, lambda xy: xy * [0.5, -0.5] + [500_000, 5_000_000])
    raw.write(
        str(file),
        np.array(shapely.to_wkb(shapes), object),
        [np.array(["roof", "tank", "field"])[np.arange(count) % 3], np.arange(count) / 7],
        np.array(["class", "height"], object),
        driver="GPKG",
        geometry_type="Unknown",
        crs="EPSG:32632",
    )
    return across * CELL


class Clock:
    """Times steps; one of them may be profiled."""

    def __init__(self, profiled: str | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._profiled = profiled

    def run(self, name: str, step: Callable[[], Any], note: str = "") -> Any:
        profile = cProfile.Profile() if name == self._profiled else None
        wall, cpu = time.perf_counter(), time.process_time()
        result = profile.runcall(step) if profile else step()
        seconds = {
            "seconds": time.perf_counter() - wall,
            "CPU seconds": time.process_time() - cpu,
        }
        self.rows.append({"step": name, **seconds, "note": note})
        print(f"{name}: {seconds}", file=sys.stderr, flush=True)
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
        return result


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[Any, Any, int]]:
    """A project in a folder, its application, and the port of a server without a token."""
    import uvicorn

    from rsisrefiner_jax.annotate.app import make_app
    from rsisrefiner_jax.annotate.context import Context
    from rsisrefiner_jax.annotate.guard import LOOPBACK
    from rsisrefiner_jax.annotate.project import Project
    from rsisrefiner_jax.annotate.safety import Roots
    from rsisrefiner_jax.annotate.worker import Worker

    def no_model() -> Any:
        raise RuntimeError("there is no model here")

    project = Project(folder / "project", Roots([folder]))
    app = make_app(Context(project, Worker(no_model), "none"), LOOPBACK)
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    try:
        yield project, app, running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()
        project.close()


def start(clock: Clock, project: Any) -> None:
    """What the annotator makes in advance when it starts."""
    from rsisrefiner_jax.annotate.serve import prepare

    clock.run("made at the start", lambda: prepare(project))


def import_and_export(clock: Clock, port: int, file: Path, folder: Path) -> None:
    import httpx

    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=None) as client:

        def send(path: str) -> Any:
            with open(file, "rb") as content:
                reply = client.post(path, files={"file": (file.name, content)})
            reply.raise_for_status()
            return reply.json()

        clock.run("preview of the import", lambda: send("/images/1/import/preview"))
        clock.run("import", lambda: send("/images/1/import"))
        listed = clock.run("objects as JSON", lambda: client.get("/images/1/objects/flat"))
        clock.rows[-1]["note"] = f"{len(listed.content) / 1e6:.0f} MB"
        clock.run("objects as JSON, again", lambda: client.get("/images/1/objects/flat"))
        for name in EXPORTS:

            def fetch(name: str = name) -> Any:
                return client.get("/images/1/export", params={"format": name})

            reply = clock.run(f"export {name}", fetch)
            reply.raise_for_status()
            clock.rows[-1]["note"] = f"{len(reply.content) / 1e6:.0f} MB"
            (folder / name).write_bytes(reply.content)


def look(clock: Clock, port: int, count: int) -> None:
    """The page: until all outlines are on it, and frames a second while it is zoomed."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(120_000)

        def open_page() -> None:
            page.goto(f"http://localhost:{port}/")
            page.get_by_test_id("object-count").filter(has_text=f"{count:,} objects").wait_for()
            page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

        clock.run("page with all outlines", open_page)
        page.wait_for_timeout(2000)
        for name, wheel in (("zooming in", -240), ("zooming out", 240)):
            page.mouse.move(520, 360)
            times = _frames(page, functools.partial(page.mouse.wheel, 0, wheel / 8))
            gaps = np.diff(times)
            rate = len(gaps) / (times[-1] - times[0]) * 1000
            clock.rows.append(
                {"step": name, "note": f"{rate:.0f} frames/s, the longest {gaps.max():.0f} ms"}
            )
        browser.close()


def _frames(page: Any, move: Callable[[], Any]) -> np.ndarray:
    """Times of the frames, ms, while something is done again and again."""
    page.evaluate(
        "() => { window.frameTimes = []; const note = (time) => { window.frameTimes.push(time); "
        "window.frameRequest = requestAnimationFrame(note); }; requestAnimationFrame(note); }"
    )
    end = time.monotonic() + ZOOMING
    while time.monotonic() < end:
        move()
        page.wait_for_timeout(60)
    page.evaluate("cancelAnimationFrame(window.frameRequest)")
    return np.array(page.evaluate("window.frameTimes"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--page", action="store_true", help="look at the page in Chromium, too")
    parser.add_argument("--profile", help="the step whose profile is printed")
    parser.add_argument("--json", type=Path, help="also writes everything there")
    options = parser.parse_args()
    clock = Clock(options.profile)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        side = write_outlines(folder / "outlines.gpkg", options.count)
        write_raster(folder / "scene.tif", side)
        with server(folder) as (project, _, port):
            project.add_image(folder / "scene.tif")
            start(clock, project)
            import_and_export(clock, port, folder / "outlines.gpkg", folder)
            if options.page:
                look(clock, port, options.count)
        with server(folder) as (project, _, port):
            start(clock, project)
            if options.page:
                look(clock, port, options.count)
    about = {"outlines": options.count, "side": f"{side} px"}
    report("Many outlines on one raster", about, clock.rows, options.json)


if __name__ == "__main__":
    main()
