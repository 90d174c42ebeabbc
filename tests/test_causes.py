"""Faults outside of the program become a sentence and an exit code."""

import errno

import pytest

from rsisrefiner_jax.causes import explain
from rsisrefiner_jax.errors import Stopped, UserError, run_main


def caused(error: Exception) -> Exception:
    try:
        try:
            raise error
        except Exception as inner:
            raise ValueError("something of a library") from inner
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/w/metrics.jsonl"), "/w/metrics.jsonl"),
        (ValueError("RESOURCE_EXHAUSTED: write: No space left on device [source..."), "is full"),
        (ImportError("libGL.so.1: cannot open shared object file"), "opencv-python-headless"),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "opencv-python-headless"),
        (
            RuntimeError(
                "Worker process was terminated unexpectedly with exit code -9. Search the logs"
            ),
            "(exit code -9)",
        ),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM,\n 35.55G of 15.75G"),
            "(Ran out of memory on HBM, 35.55G of 15.75G); a smaller train.batch_size",
        ),
        (RuntimeError("Unable to initialize backend 'cuda': no driver"), "JAX_PLATFORMS=cuda"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_sentence(error, part, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    for one in (error, caused(error)):
        sentence = explain(one)
        assert sentence
        assert part in sentence
        assert "\n" not in sentence


def test_nothing_is_made_up():
    assert explain(ValueError("shapes (2,) and (3,)")) is None
    assert explain(ImportError("no torch", name="torch")) is None


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no such file"), 2, "error: no such file\n"),
        (Stopped("step 3 is saved"), 75, "step 3 is saved\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (caused(OSError(errno.EDQUOT, "Disk quota exceeded")), 2, "error: the disk is full"),
    ],
    ids=["input", "stopped", "interrupted", "full"],
)
def test_how_a_command_ends(error, code, said, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        run_main(main)
    assert end.value.code == code
    assert capsys.readouterr().err.startswith(said)


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)
