"""Weights as nested dictionaries of arrays: files, checks, and the frozen/trainable split.

A weights file is one `.npz` of "a/b/c" names plus `__meta__`, a JSON text about the origin.
"""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from rsisrefiner_jax.atomic import atomic_file
from rsisrefiner_jax.errors import UserError

META = "__meta__"
Tree = dict[str, Any]


def load_npz(path: str | Path) -> tuple[Tree, dict[str, Any]]:
    """The nested tree of arrays (float32, integers), and what is known about its origin.

    Raises:
        UserError: no such file, damaged, or not written by `python -m convert_weights`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            flat = {name: _widened(file[name]) for name in file.files}
        meta = json.loads(str(flat.pop(META)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such weights file") from error
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a weights file; `python -m convert_weights SOURCE {path}` writes one"
        ) from error
    return unflatten_dict(flat, sep="/"), meta


def save_npz(path: str | Path, tree: Tree, meta: Mapping[str, Any]) -> None:
    """Writes a nested tree of arrays; `path` is complete or untouched. Raises OSError.

    Weights that float16 holds without loss, as many are published, take half of the room.
    """
    flat = {META: np.array(json.dumps(meta)), **flatten_dict(tree, sep="/")}
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in flat.items():
            # One array at a time, as np.savez does, but without a date: equal weights, equal bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _narrowed(array), allow_pickle=False)


def _narrowed(array: np.ndarray) -> np.ndarray:
    """The array in C order; as float16 where nothing is lost."""
    array = np.asarray(array, order="C")
    if array.dtype == np.float32:
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if np.array_equal(half.astype(np.float32).view(np.uint32), array.view(np.uint32)):
            return half
    return array


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def split(params: Tree, frozen_names: Iterable[str]) -> tuple[Tree, Tree]:
    """(frozen, trainable) parameters by name of the top-level module."""
    names = set(frozen_names)
    frozen = {name: subtree for name, subtree in params.items() if name in names}
    return frozen, {name: subtree for name, subtree in params.items() if name not in names}


def merge(frozen: Tree, trainable: Tree) -> Tree:
    """The inverse of `split`."""
    return {**frozen, **trainable}


def check_same(tree: Tree, expected: Tree, where: str) -> None:
    """Compares paths and shapes with `expected` (anything with a shape at its leaves).

    Raises:
        UserError: beginning with `where`; says everything that is missing, unexpected or of the
            wrong shape.
    """
    got, want = (
        {path: tuple(leaf.shape) for path, leaf in flatten_dict(t, sep="/").items()}
        for t in (tree, expected)
    )
    shapes = [
        f"{p} is {got[p]}, expected {want[p]}" for p in want if p in got and got[p] != want[p]
    ]
    problems = [
        some("missing", [path for path in want if path not in got]),
        some("unexpected", [path for path in got if path not in want]),
        some("of another shape", shapes),
    ]
    if any(problems):
        raise UserError(f"{where} does not fit the model: {'; '.join(filter(None, problems))}")


def some(what: str, names: list[str], limit: int = 10) -> str:
    """'3 missing (a, b, c)', naming at most `limit`; '' for an empty list."""
    if not names:
        return ""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{len(names)} {what} ({', '.join(names[:limit])}{more})"


def count(tree: Tree) -> int:
    """The number of parameters in a tree of arrays."""
    return sum(int(np.prod(leaf.shape)) for leaf in flatten_dict(tree).values())


def resize_pos_embed(pos: np.ndarray, grid: int) -> np.ndarray:
    """Position embedding pos [1, 1+n*n, e] for a grid x grid image: float32 [1, 1+grid*grid, e].

    Bicubic (a = -0.75), pixel centres at half-integers, borders repeated, no antialias: what
    MAE, DINO and timm do. Entry 0, the class token's, is kept. The same grid changes nothing.
    """
    pos = np.asarray(pos, np.float32)
    side = round((pos.shape[1] - 1) ** 0.5)
    if side == grid:
        return pos
    matrix = _bicubic(side, grid)
    table = pos[0, 1:].reshape(side, side, -1)
    table = np.einsum("yi,xj,ijc->yxc", matrix, matrix, table, optimize=True)
    return np.concatenate([pos[:, :1], table.reshape(1, grid * grid, -1)], axis=1)


def _bicubic(old: int, new: int) -> np.ndarray:
    """float32 [new, old]: each row holds the four weights of one output position."""
    at = (np.arange(new) + 0.5) * old / new - 0.5
    low = np.floor(at).astype(int)
    matrix = np.zeros((new, old))
    for tap in range(-1, 3):
        d, a = np.abs(at - (low + tap)), -0.75
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        index = np.clip(low + tap, 0, old - 1)
        np.add.at(matrix, (np.arange(new), index), np.where(d <= 1, near, far))
    return matrix.astype(np.float32)
