"""Reads what `torch.save` wrote (zip format, torch >= 1.6) without torch and without running it.

A `.pth` file is a zip archive: a pickle that describes the objects, and one raw member per tensor
storage. The unpickler here knows only dictionaries, tensors and inert stand-ins; a name outside
that list is refused before anything is called. Storages stay in the file, memory-mapped.
"""

import collections
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  (teaches numpy the name "bfloat16")
import numpy as np

from rsisrefiner_jax.errors import UserError

STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def read_torch_file(path: str) -> Any:
    """The object in a `torch.save`d file; tensors become read-only views of the mapped file.

    Raises:
        UserError: truncated or damaged file, something executable in it, or an unknown content.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Unpickler(path, archive).load()
    except (zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again") from error
    except (UserError, OSError):
        raise
    except Exception as error:  # a strange pickle can fail in any way
        raise UserError(f"{path} is not a readable PyTorch checkpoint ({error})") from error


class _Storage(NamedTuple):
    """What tensors are views of. Only `persistent_load` makes one, so its bounds are true."""

    values: np.ndarray


class Inert(dict):
    """Holds the place of a configuration object: it takes any state and does nothing."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    def __init__(self, path: str, archive: zipfile.ZipFile) -> None:
        members = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if not members:
            raise UserError(f"{path} is a zip archive but not a PyTorch checkpoint (no data.pkl)")
        super().__init__(archive.open(members[0]))
        self._path, self._archive = path, archive
        self._root = members[0].removesuffix("data.pkl")
        self._file = np.memmap(path, np.uint8, "r")
        self._storages: dict[tuple[str, str], _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        # RITM-style checkpoints pickle parts of their configuration, such as a loss object.
        if re.fullmatch(r"isegm(\.\w+)+", module):
            return Inert
        raise UserError(
            f"{self._path} asks for {module}.{name}, which is refused because a checkpoint needs "
            "only tensors; nothing was run"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, _count = pid
        # Only our own names: numpy would take "object", and raw bytes must never become pointers.
        if kind != "storage" or dtype not in STORAGES.values():
            raise pickle.UnpicklingError(f"unknown storage {pid!r}")
        if (key, dtype) not in self._storages:
            self._storages[key, dtype] = _Storage(self._member(f"{self._root}data/{key}", dtype))
        return self._storages[key, dtype]

    def _member(self, name: str, dtype: str) -> np.ndarray:
        info = self._archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED:
            return np.frombuffer(self._archive.read(name), dtype)
        # The data follow the local header: 30 bytes, then a name and an extra field.
        header = self._file[info.header_offset : info.header_offset + 30].tobytes()
        start = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        raw = self._file[start : start + info.file_size]
        if len(raw) != info.file_size or zlib.crc32(raw.data) != info.CRC:
            raise zipfile.BadZipFile(f"wrong checksum of {name}")
        return raw.view(dtype)


def _tensor(storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
    """`torch._utils._rebuild_tensor_v2`: a strided view, checked to stay inside its storage."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    values = storage.values
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(values)):
        raise pickle.UnpicklingError("a tensor reaches outside its storage")
    if 0 in size:
        return np.zeros(size, values.dtype)
    steps = [s * values.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], size, steps, writeable=False)


def _parameter(data: np.ndarray, *_: Any) -> np.ndarray:
    """`torch._utils._rebuild_parameter`: the tensor itself."""
    return data


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("argparse", "Namespace"): Inert,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # its name in pickle protocol 2
}
