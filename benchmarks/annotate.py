"""The annotator as a process: what it survives, how quick it is, and what memory it takes.

    python -m benchmarks.annotate kill --checkpoint DIR [--clicks 100] [--kills 20]
    python -m benchmarks.annotate large --checkpoint DIR [--side 12000 | --image scene.tif]

`kill` ends the server with SIGKILL at random moments of a scripted session, starts it again, and
compares with a session that nobody disturbed. `large` opens a GeoTIFF (without overviews, made on
the spot, unless another is given), looks at it, and clicks on an object whose window grows to the
largest.
"""

import argparse
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import run_main

REACH = (0, 20, 40, 120, 125, 250, 500, 505, 1000, 1600, 1605)  # of clicks, pixels


class Server:
    """The annotator on a free port, started again after it was killed."""

    def __init__(self, images: list[str], checkpoint: Path, project: Path) -> None:
        """images: the command line's arguments for them."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [sys.executable, "-m", "rsisrefiner_jax.annotate", *images]
        self._command += ["--checkpoint", str(checkpoint), "--project", str(project)]
        self._command += ["--port", str(self.port)]
        self._token = secrets.token_urlsafe(24)
        self.start()

    def start(self) -> None:
        given = {**os.environ, "RSISREFINER_TOKEN": self._token}
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=given)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The reply as JSON, or as bytes where it is none. Raises OSError: nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            data,
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=300) as reply:
            content = reply.read()
            is_json = reply.headers["Content-Type"] == "application/json"
            return json.loads(content) if is_json else content

    def insist(self, method: str, path: str, body: Any = None) -> Any:
        """As `call`, again and again until somebody answers."""
        while True:
            try:
                return self.call(method, path, body)
            except urllib.error.HTTPError as error:
                raise RuntimeError(error.read().decode()) from error
            except (OSError, ValueError):
                time.sleep(0.05)

    def wait_until_ready(self) -> None:
        while not self.insist("GET", "/project")["model"]["ready"]:
            time.sleep(0.05)

    def memory(self) -> float:
        """Resident memory at its highest, MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def write_raster(path: Path, side: int) -> None:
    """A tiled GeoTIFF of 8 bits without overviews."""
    import rasterio
    from rasterio.transform import Affine

    rng = np.random.default_rng(0)
    patch = rng.integers(0, 256, (3, 1024, 1024), np.uint8)
    patch = (patch // 8 + np.add.outer(np.arange(1024), np.arange(1024)) // 12).astype(np.uint8)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": 3,
        "dtype": "uint8",
    }
    profile |= {"tiled": True, "compress": "deflate", "zlevel": 1, "crs": "EPSG:32632"}
    profile["transform"] = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    with rasterio.open(path, "w", **profile) as file:
        for y in range(0, side, 1024):
            for x in range(0, side, 1024):
                h, w = min(1024, side - y), min(1024, side - x)
                file.write(patch[:, :h, :w], window=((y, y + h), (x, x + w)))


def kill(options: argparse.Namespace, folder: Path) -> None:
    """Clicks, undo, redo and finish, disturbed and undisturbed."""
    image = folder / "scene.tif"
    write_raster(image, 900)
    script = _script(options.clicks)
    calm = Server([str(image)], options.checkpoint, folder / "calm")
    expected = _run(calm, script)
    calm.kill()
    server = Server([str(image)], options.checkpoint, folder / "disturbed")
    done = threading.Event()
    kills = 0

    def disturb() -> None:
        nonlocal kills
        rng = random.Random(options.seed)
        while kills < options.kills and not done.is_set():
            server.insist("GET", "/project")
            if kills % 3:  # also while the model is still being loaded
                server.wait_until_ready()
            time.sleep(rng.uniform(0, options.longest))
            server.kill()
            kills += 1
            server.start()

    thread = threading.Thread(target=disturb)
    started = time.perf_counter()
    thread.start()
    found = _run(server, script)
    done.set()
    thread.join()
    server.wait_until_ready()
    final = _state(server)
    server.kill()
    print(f"{kills} kills in {time.perf_counter() - started:.0f} s, {len(script)} requests")
    same = [a == b for a, b in zip(found, expected, strict=True)]
    print(f"replies as undisturbed: {sum(same)} of {len(same)}")
    print(f"state at the end as undisturbed: {final == found[-1] == expected[-1]}")
    if not all(same) or final != expected[-1]:
        raise SystemExit(1)


def _script(clicks: int) -> list[tuple[str, str, Any]]:
    """Requests: sessions of some clicks with undo and redo between, each finished."""
    rng = random.Random(1)
    script: list[tuple[str, str, Any]] = []
    session = 0
    for number in range(clicks):
        if number % 8 == 0:
            if session:
                script.append(("POST", f"/sessions/{session}/finish", {}))
            session += 1
            script.append(("POST", "/sessions", {"image_id": 1, "key": f"open {session}"}))
        given = {"x": rng.uniform(0, 900), "y": rng.uniform(0, 900), "positive": number % 3 != 1}
        script.append(("POST", f"/sessions/{session}/clicks", given | {"key": f"click {number}"}))
        if number % 7 == 3:
            for step in ("undo", "redo"):
                script.append(("POST", f"/sessions/{session}/{step}", {"key": f"{step} {number}"}))
    return script


def _run(server: Server, script: list[tuple[str, str, Any]]) -> list[Any]:
    """What is replied, without times; at the end the state."""
    replies = [server.insist(*request) for request in script]
    server.wait_until_ready()
    for reply in replies:
        for name in ("seconds", "changed"):  # a repeated request changes nothing
            reply.pop(name, None)
    return [*replies, _state(server)]


def _state(server: Server) -> Any:
    sessions = server.insist("GET", "/sessions")
    for session in sessions:
        session.pop("seconds")
    clicks = server.insist("GET", "/images/1/export?format=clicks")
    steps = [
        (session["id"], step["kind"], step.get("x"), step["kept"])
        for session in (clicks if isinstance(clicks, dict) else json.loads(clicks))["sessions"]
        for step in session["steps"]
    ]
    return [sessions, server.insist("GET", "/images/1/objects"), steps]


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
    server.kill()


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
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=12_000, help="pixels")
    parser.add_argument("--image", type=Path, help="a raster to open instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"kill": kill, "large": large}[options.what](options, Path(folder).resolve())


if __name__ == "__main__":
    run_main(main)
