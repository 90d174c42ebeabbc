"""Reads what `torch.save` wrote (zip format, torch >= 1.6) without torch and without running it.

A `.pth` file is a zip archive: a pickle that describes the objects, and one raw member per tensor
storage. The unpickler here knows only dictionaries and tensors, and imports nothing. Every other
name stands for `Inert`, whatever it is called with: configurations, optimizers, numpy scalars,
paths. Names of the standard library that no data need are refused, since such a file means harm.
Storages stay in the file, memory-mapped.
"""

import collections
import pickle
import struct
import sys
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


class Inert:
    """Holds the place of any object that is no tensor: it takes everything and keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Inert":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    extend = add = append


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
        if _is_harmful(module, name):
            raise UserError(
                f"{self._path} asks for {module}.{name}, which is refused because a checkpoint "
                "needs only tensors; nothing was run"
            )
        return Inert

    def persistent_load(self, pid: Any) -> _Storage | Inert:
        kind, dtype, key, _location, _count = pid
        if dtype is Inert:  # numbers of a kind that weights never have, such as complex ones
            return Inert()
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


def _tensor(
    storage: _Storage | Inert, offset: int, size: tuple, stride: tuple, *_: Any
) -> np.ndarray | Inert:
    """`torch._utils._rebuild_tensor_v2`: a strided view, checked to stay inside its storage."""
    if isinstance(storage, Inert):
        return storage
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


def _with_attributes(rebuild: Any, _class: Any, arguments: tuple, _state: Any) -> Any:
    """`torch._tensor._rebuild_from_type_v2`: the tensor, without what was hung on it."""
    return rebuild(*arguments) if rebuild in (_tensor, _parameter) else Inert()


def _is_harmful(module: str, name: str) -> bool:
    """Whether this is a name of Python's own library that is not one of plain data.

    Nothing would be called in any case; but only a file that means harm asks for such a name.
    """
    top = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module).split(".")[0]
    if top == "builtins":
        return name not in _BUILTINS
    return top in sys.stdlib_module_names and top not in _DATA_MODULES


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _with_attributes,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # its name in pickle protocol 2
}
# getattr: how members of enumerations and nested classes are written.
# fmt: off
_BUILTINS = {
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list",
    "object", "range", "set", "slice", "str", "tuple", "type",
}
_DATA_MODULES = {
    "_codecs", "argparse", "collections", "copyreg", "datetime", "decimal", "enum", "fractions",
    "functools", "pathlib", "re", "types", "typing", "uuid",
}
# fmt: on
