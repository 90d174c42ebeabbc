"""python -m convert_weights SOURCE DEST: see `--help`. Heavy imports wait for the arguments."""

import argparse
import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rsisrefiner_jax.console import program
from rsisrefiner_jax.errors import UserError, require, run_main

if TYPE_CHECKING:
    import numpy as np

    from convert_weights.convert import Conversion
    from rsisrefiner_jax.config import Config

DESCRIPTION = """\
Converts a PyTorch checkpoint (.pth, .pt, .safetensors, or exported as .onnx; torch is not needed)
to this project's weights. Nothing in the file is executed, and nothing is written unless every
tensor fits.

kinds:
  rsisrefiner  the whole network -> DEST is a checkpoint directory for eval.py and train.py
  mfp          the whole network -> DEST is a checkpoint directory; or DEST.npz for
               model.backbone_weights: backbone, patch_embed_coords and neck
  simpleclick  the same; in DEST.npz its missing modulated-map channel gets zero weights
  mobilesam    TinyViT and SAM's decoder -> DEST.npz for model.backbone_weights, or a checkpoint
               directory (SAM as it is, for eval.py); SOURCE may be several files
  vit          a plain ViT with timm names (MAE, DINOv2): backbone only -> one .npz
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("convert"),
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", nargs="+", help="checkpoint to read")
    parser.add_argument("dest", metavar="DEST", help="file or directory to write")
    parser.add_argument(
        "--kind",
        choices=("auto", "mfp", "rsisrefiner", "simpleclick", "mobilesam", "vit"),
        default="auto",
        help="what SOURCE holds (default: recognised from its keys)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        default=448,
        metavar="PIXELS",
        help="input side; the position embedding is resized to it (bicubic; default 448)",
    )
    parser.add_argument("--certificate", metavar="FILE.json", help="also write what was done here")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from convert_weights.certificate import certificate
    from convert_weights.convert import (
        check_round_trip,
        checkpoint_config,
        convert,
        origin,
    )
    from convert_weights.kinds import check_kind, recognise
    from convert_weights.source import read_sources
    from rsisrefiner_jax.weights import save_npz

    source = read_sources(args.source)
    if args.kind != "auto":
        check_kind(source, args.kind)
    kind = recognise(source) if args.kind == "auto" else args.kind
    require(args.certificate != args.dest, "--certificate and DEST name the same file")
    files = [args.certificate] if args.certificate else []
    whole = kind == "rsisrefiner" or (kind != "vit" and not args.dest.endswith(".npz"))
    if whole:
        from rsisrefiner_jax.checkpoint.runs import require_new_directory

        require_new_directory(args.dest)
    else:
        files.append(args.dest)
    for path in files:
        require(not os.path.isdir(path), f"{path} is a directory; name a file to write")
    for path in {args.dest, *files}:
        require_writable(path, args.source)
    result = convert(source, kind, args.image_size, whole)
    require(
        not (whole and kind == "mobilesam") or len(subtrees(result)) == 3,
        f"{source.path} holds only {', '.join(subtrees(result))}; a checkpoint directory needs the "
        "image encoder and the mask decoder: name both files, or a DEST that ends in .npz",
    )
    record = certificate(source, result)
    meta = origin(source, result, record)
    try:
        with complete_or_absent(args.dest) as temporary:
            if whole:
                config = checkpoint_config(source, result, args.image_size)
                write_checkpoint(temporary, config, result, meta)
            else:
                save_npz(temporary, result.arrays, meta)
            check_round_trip(source, result, read_back(temporary, whole))
        if args.certificate:
            write_json(args.certificate, record)
    except OSError as error:
        raise UserError(f"{args.dest} cannot be written ({error.strerror or error})") from error
    total = sum(array.size for array in result.arrays.values())
    print(f"{args.dest}: {kind}, {len(result.arrays)} tensors, {total:,} numbers")


def subtrees(result: "Conversion") -> list[str]:
    """The top-level modules that were converted."""
    return sorted({path.split("/")[0] for path in result.arrays})


@contextlib.contextmanager
def complete_or_absent(dest: str) -> Iterator[str]:
    """A temporary name whose file or directory becomes `dest` only if the block ends well."""
    dest = os.path.abspath(dest)
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    temporary = f"{dest}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, dest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def write_checkpoint(
    directory: str, config: "Config", result: "Conversion", meta: dict[str, Any]
) -> None:
    from convert_weights.convert import nested
    from rsisrefiner_jax.checkpoint.runs import save_weights

    params, batch_stats = (nested(result.arrays, name) for name in ("params", "batch_stats"))
    save_weights(directory, config, params, batch_stats, meta)


def read_back(path: str, whole: bool) -> "dict[str, np.ndarray]":
    """What was written, as `Conversion.arrays` holds it."""
    from flax.traverse_util import flatten_dict

    from rsisrefiner_jax.checkpoint.runs import load_weights
    from rsisrefiner_jax.weights import load_npz

    if not whole:
        return flatten_dict(load_npz(path)[0], sep="/")
    weights = load_weights(path)
    return flatten_dict(weights.params | {"batch_stats": weights.batch_stats}, sep="/")


def write_json(path: str, record: dict[str, Any]) -> None:
    from rsisrefiner_jax.atomic import atomic_file

    with atomic_file(path) as file:
        file.write(json.dumps(record, indent=1).encode())


def require_writable(path: str, sources: list[str]) -> None:
    """Raises UserError unless a file could be made at `path` (its folders may not exist yet)."""
    taken = [os.path.realpath(source) for source in sources]
    require(os.path.realpath(path) not in taken, f"{path} is SOURCE; name another file")
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    require(
        os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK),
        f"{path} cannot be written: {folder} is not a folder that you may write to",
    )


if __name__ == "__main__":
    run_main(main)
