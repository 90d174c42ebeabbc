"""The adapters in integrations/, which are no package, and the requests recorded for them."""

import base64
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

FOLDER = Path(__file__).parent.parent / "integrations"
RECORDED = Path(__file__).parent / "goldens" / "integrations"
HEIGHT, WIDTH = 64, 80


def recorded(name: str) -> Any:
    """Requests as a tool sends them."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def load(tool: str, name: str) -> ModuleType:
    """A file of an adapter as a module of its own."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / tool / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks there for what annotations name
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


def picture(seed: int = 0) -> np.ndarray:
    """RGB noise, uint8 [HEIGHT, WIDTH, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def png(rgb: np.ndarray) -> bytes:
    """A picture as a PNG file."""
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def png_text(rgb: np.ndarray) -> str:
    """A picture as PNG in base64."""
    return base64.b64encode(png(rgb)).decode()
