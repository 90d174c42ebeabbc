"""What an evaluation ran on: a number that nobody can repeat says little."""

import functools
import hashlib
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("rsisrefiner-jax", "jax", "jaxlib", "flax", "numpy", "opencv-python-headless")
ROOT = Path(__file__).parent.parent


def environment(dtype: str, matmul_precision: str = "default") -> dict[str, Any]:
    """Versions, device and code as results.json holds them.

    dtype: of the computation. matmul_precision: of its float32 products; default: jax's setting.
    """
    devices = jax.devices()
    return {
        "versions": {name: _version(name) for name in PACKAGES},
        "device": devices[0].device_kind,
        "platform": devices[0].platform,
        "devices": len(devices),
        "dtype": dtype,
        "matmul_precision": (
            matmul_precision
            if matmul_precision != "default"
            else jax.config.values["jax_default_matmul_precision"] or "default"
        ),
        "code": code_revision(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@functools.cache
def code_revision() -> str:
    """The commit of a checkout, "+" where it was changed; else a hash of the package's files."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+"]
    tracked = ["git", "-C", str(ROOT), "ls-files", "--error-unmatch", __file__]
    try:
        subprocess.run(tracked, check=True, capture_output=True, timeout=10)
        found = subprocess.run(git, check=True, capture_output=True, text=True, timeout=10)
        return found.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        files = hashlib.sha256()
        for file in sorted(ROOT.rglob("*.py")):
            files.update(file.read_bytes())
        return f"sha256:{files.hexdigest()[:12]}"
