"""Weights as trees and files."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsisrefiner_jax import weights
from rsisrefiner_jax.errors import UserError


@pytest.fixture
def tree():
    return {
        "backbone": {"block_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T}},
        "decoder": {"mask_token": np.ones((1, 4), np.float32)},
    }


def test_a_file_gives_back_the_tree_and_its_origin(tmp_path, tree):
    path = str(tmp_path / "new" / "w.npz")
    weights.save_npz(path, tree, {"kind": "mfp", "unused": 771_304})
    back, meta = weights.load_npz(path)
    assert meta == {"kind": "mfp", "unused": 771_304}
    kernel = back["backbone"]["block_0"]["kernel"]
    np.testing.assert_array_equal(kernel, [[0, 3], [1, 4], [2, 5]])
    assert kernel.flags.c_contiguous
    assert kernel.dtype == np.float32
    with np.load(path) as file:
        assert set(file.files) == {
            "__meta__",
            "backbone/block_0/kernel",
            "decoder/mask_token",
        }
        assert json.loads(str(file["__meta__"]))["kind"] == "mfp"


def test_equal_weights_make_equal_bytes(tmp_path, tree):
    for name in "ab":
        weights.save_npz(str(tmp_path / name), tree, {})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, tree):
    path = tmp_path / "w.npz"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="Object arrays"):
        weights.save_npz(str(path), {**tree, "z": np.array([object()])}, {})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["w.npz"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half", b"text", "npy", "no meta"])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "w.npz"
    if content == "npy":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif content == "no meta":
        np.savez(path, a=np.ones(3))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.npz"):
        weights.load_npz(str(path))


def test_split_and_merge_are_inverse(tree):
    frozen, trainable = weights.split(tree, ("backbone", "neck"))
    assert set(frozen) == {"backbone"}
    assert set(trainable) == {"decoder"}
    assert weights.merge(frozen, trainable) == tree
    assert (weights.count(tree), weights.count(frozen)) == (10, 6)


def test_check_same_reports_everything_at_once(tree):
    expected = {
        "backbone": {"block_0": {"kernel": np.empty((3, 3)), "bias": np.empty(3)}},
        "decoder": {},
    }
    weights.check_same(tree, tree, "x.npz")
    with pytest.raises(UserError) as error:
        weights.check_same(tree, expected, "x.npz")
    message = str(error.value)
    assert message.startswith("x.npz ")
    assert "1 missing (backbone/block_0/bias)" in message
    assert "1 unexpected (decoder/mask_token)" in message
    assert "backbone/block_0/kernel is (3, 2), expected (3, 3)" in message


def test_long_lists_are_cut():
    text = weights.some("missing", [f"k{i}" for i in range(25)])
    assert text.startswith("25 missing (k0, ")
    assert text.endswith("k9 and 15 more)")


def test_pos_embed_of_the_same_grid_is_unchanged():
    pos = np.random.default_rng(0).normal(size=(1, 17, 3)).astype(np.float32)
    np.testing.assert_array_equal(weights.resize_pos_embed(pos, 4), pos)


def test_pos_embed_bicubic_golden():
    """A unit step over 4 positions enlarged to 8; as OpenCV's INTER_CUBIC does it."""
    pos = np.zeros((1, 17, 1), np.float32)
    pos[0, 0] = 9  # the class entry
    pos[0, 1:, 0] = np.tile([0, 0, 1, 1], 4)  # varies along x only
    out = weights.resize_pos_embed(pos, 8)
    assert out.shape == (1, 65, 1)
    assert out.dtype == np.float32
    assert out[0, 0] == 9
    row = [0, -0.03515625, -0.10546875, 0.2265625, 0.7734375, 1.10546875, 1.03515625, 1]
    np.testing.assert_allclose(out[0, 1:, 0].reshape(8, 8), np.tile(row, (8, 1)), atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(old=st.integers(2, 9), new=st.integers(1, 12), value=st.floats(-3, 3, width=32))
def test_pos_embed_keeps_constants_and_turns_with_the_grid(old, new, value):
    constant = np.full((1, 1 + old * old, 2), value, np.float32)
    np.testing.assert_allclose(weights.resize_pos_embed(constant, new), value, atol=1e-5)
    pos = np.random.default_rng(old).normal(size=(1, 1 + old * old, 2)).astype(np.float32)

    def turned(p):
        side = round((p.shape[1] - 1) ** 0.5)
        grid = p[:, 1:].reshape(1, side, side, 2).transpose(0, 2, 1, 3)
        return np.concatenate([p[:, :1], grid.reshape(1, -1, 2)], axis=1)

    np.testing.assert_allclose(
        weights.resize_pos_embed(turned(pos), new),
        turned(weights.resize_pos_embed(pos, new)),
        atol=1e-5,
    )


def test_what_float16_holds_takes_half_the_room(tmp_path):
    rng = np.random.default_rng(0)
    wide = rng.normal(size=4096).astype(np.float32)
    half = wide.astype(np.float16).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, 65504.0, 6e-8, 7e4], np.float32)
    tree = {"wide": wide, "half": half, "special": special, "step": np.arange(3)}
    sizes = {}
    for name, array in tree.items():
        weights.save_npz(tmp_path / f"{name}.npz", {"x": array}, {})
        back = weights.load_npz(tmp_path / f"{name}.npz")[0]["x"]
        assert back.dtype == array.dtype
        assert back.tobytes() == array.tobytes()
        sizes[name] = (tmp_path / f"{name}.npz").stat().st_size
    assert sizes["half"] < 0.6 * sizes["wide"]
