"""What a conversion did, as JSON: the source, the fate of every key, how it was checked."""

import os
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from convert_weights.convert import Conversion
from convert_weights.source import Source

# Recorded outputs, by kind, checksum of the weights and tokens per side.
GOLDENS = {
    ("rsisrefiner", 413034269, 28): "rsisrefiner_stand_in",
    ("mfp", 253390178, 28): "mfp_stand_in",
    ("mobilesam", 3271853517, 28): "mobilesam",
}


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
            "skipped": len(source.skipped),
        },
        "parameters": {**_by_subtree(result), "unused": sum(result.unused.values())},
        **_parity(result, checksum),
        # A file that does not pass `check_round_trip` is never put in place.
        "round_trip": "exact",
        "adapted": list(result.adapted),
        "mapped": result.mapped,
        "unused": sorted(result.unused),
        "left_over": list(result.left_over),
        "skipped": list(source.skipped),
    }


def state_dict_checksum(tensors: Mapping[str, np.ndarray]) -> int:
    """One number for a state dict: crc32 over keys and little-endian bytes, in file order."""
    crc = 0
    for key, array in tensors.items():
        data = np.ascontiguousarray(array).view(np.uint8).data
        crc = zlib.crc32(data, zlib.crc32(key.encode(), crc))
    return crc


def weights_checksum(arrays: Mapping[str, np.ndarray]) -> int:
    """The same for converted weights rounded to float16, whatever file they came from."""
    rounded = {path: arrays[path].astype(np.float16) for path in sorted(arrays)}
    return state_dict_checksum(rounded)


def parity_figure(result: Conversion, checksum: int) -> dict[str, Any] | None:
    """{"figure": largest absolute difference, "golden": its name, "of": what was compared}.

    None without a golden, which belongs to one set of weights, known by `checksum`, at 448 px.
    """
    if result.kind == "mobilesam":
        checksum = weights_checksum(result.arrays)
    golden = GOLDENS.get((result.kind, checksum, result.sizes.grid))
    if golden is None:
        return None
    from convert_weights.parity import measure_parity

    return measure_parity(result, golden)


def _parity(result: Conversion, checksum: int) -> dict[str, Any]:
    figure = parity_figure(result, checksum)
    if figure is not None:
        return {"parity": figure}
    return {"parity": None, "parity_note": "No reference output is on record for these weights."}


def _by_subtree(result: Conversion) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for path, array in result.arrays.items():
        counts[path.split("/")[0]] += array.size
    return dict(counts)
