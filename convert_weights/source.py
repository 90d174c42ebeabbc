"""A checkpoint file as {key: array}: PyTorch zip files, safetensors and ONNX graphs."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convert_weights.onnx_file import read_onnx
from convert_weights.torch_file import read_torch_file
from rsisrefiner_jax.errors import UserError, require

WRAPPERS = ("state_dict", "model", "model_state_dict", "teacher")
PREFIXES = ("module.", "model.", "_orig_mod.")
ONNX = b"\x08"  # how protobuf writes that the version of the format comes next
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how a file of torch < 1.6 begins


@dataclasses.dataclass(frozen=True)
class Source:
    """A checkpoint: where it came from and its tensors in file order (PyTorch layout)."""

    path: str
    sha256: str  # of several files: of their sums, one after the other
    size: int  # bytes
    tensors: dict[str, np.ndarray]
    skipped: tuple[str, ...] = ()  # keys of what lies among them and is not of the network


def read_source(path: str) -> Source:
    """Reads `path`, whatever its suffix; tensors are lazy where the format allows.

    Raises:
        UserError: no such file, not a checkpoint, damaged, or something executable in it.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if head.startswith(b"PK"):
            content = read_torch_file(path)
        elif head[8:9] == b"{":
            content = _read_safetensors(path)
        elif head.startswith(LEGACY_TORCH):
            raise UserError(
                f"{path} is in the format of torch < 1.6; load it with torch and save it again"
            )
        elif head.startswith(ONNX):
            content = read_onnx(path)
        else:
            raise UserError(f"{path} is neither a PyTorch (.pth), a safetensors nor an ONNX file")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    return Source(path, sha256, os.path.getsize(path), *_state_dict(path, content))


def read_sources(paths: Sequence[str]) -> Source:
    """Several files that hold one network, as one.

    Raises:
        UserError: as `read_source`; or two of them hold the same tensor.
    """
    if len(paths) == 1:
        return read_source(paths[0])
    sources = [read_source(path) for path in paths]
    tensors: dict[str, np.ndarray] = {}
    skipped = tuple(key for source in sources for key in source.skipped)
    for source in sources:
        twice = next((key for key in source.tensors if key in tensors), None)
        require(twice is None, f"{source.path} holds {twice}, and so does a file before it")
        tensors |= source.tensors
    sha256 = hashlib.sha256("".join(source.sha256 for source in sources).encode()).hexdigest()
    names = ", ".join(os.path.basename(path) for path in paths)
    return Source(names, sha256, sum(source.size for source in sources), tensors, skipped)


def _read_safetensors(path: str) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def _state_dict(path: str, content: Any) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The tensors inside {'state_dict': ...} and the like, and the keys beside them.

    Prefixes that DataParallel, Lightning and torch.compile put before every name are taken off;
    what has none of them is then not of the network (a loss, averaged weights).
    """
    while isinstance(content, Mapping):
        inner = next((content[k] for k in WRAPPERS if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            break
        content = inner
    found = content if isinstance(content, Mapping) else {}
    tensors = {str(key): w for key, w in found.items() if isinstance(w, np.ndarray)}
    if not tensors:
        raise UserError(
            f"{path} holds no state_dict, so it is not a checkpoint that can be read; load it with "
            "torch and save model.state_dict()"
        )
    everything = tuple(map(str, found))
    kept = {key: key for key in tensors}  # {name: key of the file}
    while prefix := next((p for p in PREFIXES if any(n.startswith(p) for n in kept)), None):
        kept = {n.removeprefix(prefix): k for n, k in kept.items() if n.startswith(prefix)}
    used = set(kept.values())
    skipped = tuple(key for key in everything if key not in used)
    return {name: tensors[key] for name, key in kept.items()}, skipped
