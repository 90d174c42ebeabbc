"""Faults outside of the program, said in a sentence with the way out."""

import errno
import os
from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded")  # of tensorstore, of GDAL


def explain(error: BaseException) -> str | None:
    """One sentence about `error`, or about what it came from; None: nothing known of it."""
    for one in _chain(error):
        sentence = _explain(one)
        if sentence:
            return sentence
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _explain(error: BaseException) -> str | None:
    text = " ".join(str(error).split())
    if is_full(error):
        where = getattr(error, "filename", None)
        return f"the disk is full{f' ({where})' if where else ''}; what was saved before is whole"
    if isinstance(error, ImportError) and (error.name == "cv2" or "libGL" in text or "cv2" in text):
        return (
            f"OpenCV cannot be imported ({text}); opencv-python and opencv-python-headless "
            "overwrite each other: pip uninstall -y opencv-python opencv-python-headless && "
            "pip install opencv-python-headless"
        )
    if "Worker process was terminated unexpectedly" in text:
        code = text.partition("exit code ")[2].partition(".")[0]
        return (
            f"a data worker process was killed (exit code {code}), for want of memory as a rule; "
            "set data.workers to fewer, or to 0"
        )
    if text.startswith("RESOURCE_EXHAUSTED") and "memory" in text:
        return (
            f"the device's memory does not hold this ({text.partition(': ')[2][:200]}); a smaller "
            "train.batch_size with optim.accumulate, or eval.batch_size, takes less, and so do "
            "model.remat=True and model.dtype=bfloat16"
        )
    if isinstance(error, RuntimeError) and (
        "nable to initialize backend" in text or "nknown backend" in text
    ):
        return (
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: no such device can be opened "
            f"here ({text[:200]}); install the driver and the extra of this platform, or "
            "unset JAX_PLATFORMS"
        )
    return None


def is_full(error: BaseException) -> bool:
    """Whether a full disk raised this."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(words in str(error) for words in _FULL_WORDS)
