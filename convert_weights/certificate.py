"""What a conversion did, as JSON: the source, the fate of every key, how it was checked."""

import os
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from convert_weights.convert import Conversion
from convert_weights.source import Source


def certificate(source: Source, result: Conversion) -> dict[str, Any]:
    """A JSON-ready record of one conversion."""
    checksum = state_dict_checksum(source.tensors)
    return {
        "source": {
            "name": os.path.basename(source.path),
            "sha256": source.sha256,
            "bytes": source.size,
            "crc32": checksum,
        },
        "kind": result.kind,
        "tensors": {
            "mapped": len(result.mapped),
            "unused": len(result.unused),
            "left_over": len(result.left_over),
        },
        "parameters": {**_by_subtree(result), "unused": sum(result.unused.values())},
        "parity": parity_figure(result, checksum),
        "mapped": result.mapped,
        "unused": sorted(result.unused),
        "left_over": list(result.left_over),
    }


def state_dict_checksum(tensors: Mapping[str, np.ndarray]) -> int:
    """One number for a state dict: crc32 over keys and little-endian bytes, in file order."""
    crc = 0
    for key, array in tensors.items():
        data = np.ascontiguousarray(array).view(np.uint8).data
        crc = zlib.crc32(data, zlib.crc32(key.encode(), crc))
    return crc


def parity_figure(result: Conversion, checksum: int) -> dict[str, Any] | None:
    """{'figure': max abs logit difference, 'golden': its name}, or None without a golden.

    A golden belongs to one set of weights, known by `checksum`.
    """
    return None


def _by_subtree(result: Conversion) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for path, array in result.arrays.items():
        counts[path.split("/")[0]] += array.size
    return dict(counts)
