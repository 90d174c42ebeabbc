"""Writes files as `torch.save` does, without torch, so that tests can make any .pth they need."""

import collections
import contextlib
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import ml_dtypes
import numpy as np

STORAGES = {
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
}


class View(NamedTuple):
    """A tensor inside a flat storage; offset and strides count elements."""

    storage: np.ndarray
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def save(path: Any, content: Any) -> None:
    """Saves nested dictionaries; arrays become tensors, anything else is pickled as it is."""
    storages: list[np.ndarray] = []
    with _fake_torch() as torch, zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            pickler = _Pickler(file, protocol=2)
            pickler.torch, pickler.storages = torch, storages
            pickler.dump(_wrap(content, torch, storages))
        for i, storage in enumerate(storages):
            archive.writestr(f"archive/data/{i}", storage.tobytes())
        archive.writestr("archive/version", "3\n")


def pickled_class(module: str, name: str) -> type:
    """A class that pickles as `module.name`; use it inside `fake_module`."""
    return type(name, (), {"__module__": module})


def fake_module(name: str, **members: Any) -> contextlib.AbstractContextManager:
    """`name` and its parents as importable modules, for the time of pickling."""
    parts = name.split(".")
    fakes = {".".join(parts[:i]): types.ModuleType(parts[0]) for i in range(1, len(parts) + 1)}
    fakes[name].__dict__.update(members)
    return mock.patch.dict(sys.modules, fakes)


class _Storage(NamedTuple):
    number: int
    length: int
    kind: type


class _Pickler(pickle.Pickler):
    torch: types.ModuleType
    storages: list

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return ("storage", obj.kind, str(obj.number), "cpu", obj.length)
        return None


class _Tensor:
    def __init__(self, rebuild: Any, arguments: tuple) -> None:
        self.rebuild, self.arguments = rebuild, arguments

    def __reduce__(self) -> tuple:
        return self.rebuild, self.arguments


def _wrap(value: Any, torch: Any, storages: list[np.ndarray]) -> Any:
    if type(value) in (dict, collections.OrderedDict):
        # A state_dict is an OrderedDict with `_metadata` hung on it.
        out: Any = collections.OrderedDict()
        out.update({key: _wrap(item, torch, storages) for key, item in value.items()})
        out._metadata = collections.OrderedDict(version=1)
        return out
    if isinstance(value, np.ndarray):
        contiguous = np.ascontiguousarray(value).reshape(value.shape)
        steps = tuple(step // value.itemsize for step in contiguous.strides)
        value = View(contiguous.reshape(-1), 0, value.shape, steps)
    if not isinstance(value, View):
        return value
    index = next((i for i, s in enumerate(storages) if s is value.storage), len(storages))
    if index == len(storages):
        storages.append(value.storage)
    kind = getattr(torch, STORAGES[value.storage.dtype])
    storage = _Storage(index, len(value.storage), kind)
    hooks: collections.OrderedDict = collections.OrderedDict()
    arguments = (storage, value.offset, value.size, value.stride, False, hooks)
    return _Tensor(torch._utils._rebuild_tensor_v2, arguments)


@contextlib.contextmanager
def _fake_torch() -> Iterator[Any]:
    def _rebuild_tensor_v2() -> None:
        pass

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    kinds = {name: pickled_class("torch", name) for name in STORAGES.values()}
    with (
        fake_module("torch._utils", _rebuild_tensor_v2=_rebuild_tensor_v2),
        fake_module("torch", **kinds),
    ):
        torch = sys.modules["torch"]
        torch._utils = sys.modules["torch._utils"]  # type: ignore[attr-defined]
        yield torch
