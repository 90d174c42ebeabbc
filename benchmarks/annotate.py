"""The annotator as a process: what it survives, how quick it is, and what memory it takes.

    python -m benchmarks.annotate kill --checkpoint DIR [--how kill|term|full] [--times 20]
    python -m benchmarks.annotate large --checkpoint DIR [--side 12000 | --image scene.tif]

`kill` disturbs the server at random moments of a scripted session, see `benchmarks.disturbed`, and
compares with a session that nobody disturbed. `large` opens a GeoTIFF (without overviews, made on
the spot, unless another is given), looks at it, and clicks on an object whose window grows to the
largest.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.annotator import Server, write_raster
from benchmarks.disturbed import HOW, compare
from rsisrefiner_jax.errors import run_main

REACH = (0, 20, 40, 120, 125, 250, 500, 505, 1000, 1600, 1605)  # of clicks, pixels


def large(options: argparse.Namespace, folder: Path) -> None:
    """Opening, tiles, clicks and memory on a raster larger than that."""
    image = options.image or folder / "scene.tif"
    if not options.image:
        write_raster(image, options.side)
    started = time.perf_counter()
    server = Server(["--root", str(image.parent)], options.checkpoint, folder / "project")
    server.wait_until_ready()
    print(f"ready: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    about = server.call("POST", "/images", {"path": f"{image.parent.name}/{image.name}"})
    _tiles(server, about, 1)
    print(f"{about['width']} x {about['height']}, {os.path.getsize(image) / 1e6:.0f} MB")
    print(f"open and show the whole: {time.perf_counter() - started:.2f} s")
    for level in range(2, about["levels"]):
        started = time.perf_counter()
        count = _tiles(server, about, level)
        print(f"level {level}: {count} tiles in {time.perf_counter() - started:.2f} s")
    server.call("POST", "/sessions", {"image_id": about["id"]})
    waits: list[float] = []
    done = threading.Event()
    thread = threading.Thread(target=_look, args=(server, done, waits))
    thread.start()
    middle = about["width"] / 2, about["height"] / 2
    reach = [away for away in REACH if away < min(middle)]
    for number, away in enumerate(reach):
        started = time.perf_counter()
        given = {"x": middle[0] + away, "y": middle[1] + away / 2, "positive": number != 2}
        reply = server.call("POST", "/sessions/1/clicks", given)
        side = reply["window"][2]
        print(f"click {number + 1}: {time.perf_counter() - started:.2f} s, window of {side} pixels")
        time.sleep(1)  # a person's pace
    done.set()
    thread.join()
    print(f"other requests meanwhile: {len(waits)}, the slowest {max(waits):.2f} s")
    print(f"memory at its highest: {server.memory():.0f} MB")
    server.end()


def _look(server: Server, done: threading.Event, waits: list[float]) -> None:
    """What the page asks for while a click is computed."""
    while not done.is_set():
        started = time.perf_counter()
        server.call("GET", "/images/1/point?x=5&y=5")
        waits.append(time.perf_counter() - started)
        time.sleep(0.02)


def _tiles(server: Server, about: dict[str, Any], level: int) -> int:
    """A screen of tiles in the middle of a level."""
    span = about["tile_size"] << (about["levels"] - 1 - level)
    columns, rows = -(-about["width"] // span), -(-about["height"] // span)
    left, top = max(columns // 2 - 3, 0), max(rows // 2 - 2, 0)
    count = 0
    for row in range(top, min(top + 4, rows)):
        for column in range(left, min(left + 6, columns)):
            server.call("GET", f"/images/{about['id']}/tiles/{level}/{column}/{row}.png")
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["kill", "large"])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--how", choices=list(HOW), default="kill")
    parser.add_argument("--times", type=int, default=20, help="how often it is disturbed")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds between two times")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=12_000, help="pixels")
    parser.add_argument("--image", type=Path, help="a raster to open instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"kill": compare, "large": large}[options.what](options, Path(folder).resolve())


if __name__ == "__main__":
    run_main(main)
