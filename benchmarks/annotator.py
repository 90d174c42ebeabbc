"""The annotator as a process that is called over HTTP, and a raster for it."""

import atexit
import json
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PATIENCE = 60  # seconds
MOST_DEFECTS = 50  # after so many there is no use in asking again


class Upload(NamedTuple):
    """A request's body: a file, as browsers send it, and fields beside it."""

    name: str
    content: bytes
    fields: dict[str, str]

    def encoded(self) -> tuple[bytes, str]:
        """The body and its content type."""
        edge = secrets.token_hex(16)
        head = f'--{edge}\r\nContent-Disposition: form-data; name="'
        parts = [f'{head}{key}"\r\n\r\n{value}\r\n'.encode() for key, value in self.fields.items()]
        parts += [f'{head}file"; filename="{self.name}"\r\n\r\n'.encode(), self.content]
        parts += [f"\r\n--{edge}--\r\n".encode()]
        return b"".join(parts), f"multipart/form-data; boundary={edge}"


class Server:
    """The annotator on a free port, which it keeps when it is started again.

    times_full: how often the answer was that the disk is full. defects: what it answered with 500.
    """

    def __init__(self, images: list[str], checkpoint: Path, project: Path) -> None:
        """images: the command line's arguments for them."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [sys.executable, "-m", "rsisrefiner_jax.annotate", *images]
        self._command += ["--checkpoint", str(checkpoint), "--project", str(project)]
        self._command += ["--port", str(self.port)]
        self._token = ""
        self.times_full = 0
        self.defects: list[str] = []
        self.start()
        atexit.register(self.end)

    def start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, lines: Any) -> None:
        """Finds the token in the address that is printed, if there is one."""
        for line in lines:
            if found := re.match(r"open \S*token=(\S+)", line):
                self._token = found[1]

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The reply as JSON, or as bytes where it is none. Raises OSError: nobody answers."""
        data, kind = None, "application/json"
        if isinstance(body, Upload):
            data, kind = body.encoded()
        elif body is not None:
            data = json.dumps(body).encode()
        headers = {"Content-Type": kind, "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}", data, headers, method=method
        )
        with urllib.request.urlopen(request, timeout=300) as reply:
            content = reply.read()
            is_json = reply.headers["Content-Type"] == "application/json"
            return json.loads(content) if is_json else content

    def attempt(self, method: str, path: str, body: Any = None) -> tuple[bool, Any]:
        """As `call`: whether it was done, and the reply.

        Raises:
            RuntimeError: it was refused.
        """
        try:
            return True, self.call(method, path, body)
        except urllib.error.HTTPError as error:
            said = error.read().decode()
            away = error.code == 503 and not said.startswith("{")  # it is being stopped
            # Its address, with the token, is still to be read.
            stale = error.code == 401 and time.monotonic() < self._started + PATIENCE
            self.times_full += error.code == 507
            sentence = f"{method} {path}: {error.code} {said}"
            if error.code == 500 and len(self.defects) < MOST_DEFECTS:
                self.defects.append(sentence)
            elif not (away or stale or error.code == 507):
                raise RuntimeError(sentence) from error
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
        return False, None

    def insist(self, method: str, path: str, body: Any = None) -> Any:
        """As `call`, again and again until it is done."""
        while True:
            done, reply = self.attempt(method, path, body)
            if done:
                return reply

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
