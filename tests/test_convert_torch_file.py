"""The restricted reader of `torch.save` files: exact on tensors, deaf to everything else."""

import builtins
import os
import zipfile

import ml_dtypes
import numpy as np
import pytest

from convert_weights.source import read_source
from convert_weights.torch_file import read_torch_file
from rsisrefiner_jax.errors import UserError
from tests import torch_zip


def test_tensors_are_exact_in_every_dtype(tmp_path):
    path = str(tmp_path / "a.pth")
    draws = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    content: dict[str, np.ndarray] = {
        "f32": draws,
        "f16": draws.astype(np.float16),
        "bf16": draws.astype(ml_dtypes.bfloat16),
        "counter": np.array(7),
        "empty": np.zeros((0, 4), np.float32),
    }
    torch_zip.save(path, {"state_dict": content, "epoch": 3})
    back = read_torch_file(path)
    assert back["epoch"] == 3
    for name, array in content.items():
        assert back["state_dict"][name].dtype == array.dtype
        np.testing.assert_array_equal(back["state_dict"][name], array)


def test_views_share_a_storage(tmp_path):
    path = str(tmp_path / "a.pth")
    storage = np.arange(12, dtype=np.float32)
    content = {
        "slice": torch_zip.View(storage, 2, (2, 3), (4, 1)),
        "transposed": torch_zip.View(storage, 0, (4, 3), (1, 4)),
        "scalar": torch_zip.View(storage, 11, (), ()),
    }
    torch_zip.save(path, content)
    back = read_torch_file(path)
    np.testing.assert_array_equal(back["slice"], [[2, 3, 4], [6, 7, 8]])
    np.testing.assert_array_equal(back["transposed"], storage.reshape(3, 4).T)
    assert back["scalar"] == 11
    assert not back["slice"].flags.writeable
    with zipfile.ZipFile(path) as archive:
        assert sum(name.startswith("archive/data/") for name in archive.namelist()) == 1


def test_a_compressed_archive_is_read_too(tmp_path):
    stored, packed = tmp_path / "a.pth", tmp_path / "b.pth"
    torch_zip.save(stored, {"w": np.arange(5, dtype=np.float32)})
    with zipfile.ZipFile(stored) as a, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as b:
        for name in a.namelist():
            b.writestr(name, a.read(name))
    np.testing.assert_array_equal(read_torch_file(str(packed))["w"], np.arange(5))


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_executable_content_is_refused_and_not_run(tmp_path):
    path, touched = str(tmp_path / "evil.pth"), tmp_path / "touched"
    torch_zip.save(
        path, {"state_dict": {"w": np.ones(2, np.float32)}, "x": Evil(f"touch {touched}")}
    )
    with pytest.raises(UserError, match=r"evil\.pth asks for posix\.system, which is refused"):
        read_source(path)
    assert not touched.exists()


@pytest.mark.parametrize("name", ["eval", "exec", "__import__"])
def test_builtins_are_refused(tmp_path, name):
    class Call:
        def __reduce__(self):
            return getattr(builtins, name), ("1",)

    path = str(tmp_path / "evil.pth")
    torch_zip.save(path, {"x": Call()})
    with pytest.raises(UserError, match=name):
        read_source(path)


def test_configuration_objects_are_inert(tmp_path):
    """MFP pickles its loss object, training scripts their argparse.Namespace."""
    import argparse

    module = "isegm.model.modeling.transformer_helper.cross_entropy_loss"
    loss_class = torch_zip.pickled_class(module, "CrossEntropyLoss")
    loss = loss_class()
    loss.weight, loss.hooks = 1.0, set()
    path = str(tmp_path / "a.pth")
    with torch_zip.fake_module(module, CrossEntropyLoss=loss_class):
        torch_zip.save(
            path,
            {
                "state_dict": {"w": np.ones(2, np.float32)},
                "config": {"params": {"loss_decode": loss}},
                "args": argparse.Namespace(lr=0.1),
            },
        )
    assert list(read_source(path).tensors) == ["w"]
    content = read_torch_file(path)
    assert not vars(content["args"])
    assert not vars(content["config"]["params"]["loss_decode"])


@pytest.mark.parametrize(
    "view",
    [
        ((4,), (1,), 1),  # past the end
        ((2,), (-1,), 3),  # backwards
        ((2, 2), (1 << 40, 1), 0),
        ((2,), (1,), -8),
    ],
)
def test_a_tensor_may_not_leave_its_storage(tmp_path, view):
    size, stride, offset = view
    path = str(tmp_path / "a.pth")
    torch_zip.save(path, {"w": torch_zip.View(np.ones(4, np.float32), offset, size, stride)})
    with pytest.raises(UserError, match="outside its storage"):
        read_source(path)


def test_a_forged_storage_dtype_is_refused(tmp_path, monkeypatch):
    """Raw bytes must never be taken for object pointers."""
    path = str(tmp_path / "a.pth")
    monkeypatch.setattr(
        torch_zip._Pickler,
        "persistent_id",
        lambda self, obj: (
            ("storage", "O", "0", "cpu", 4) if isinstance(obj, torch_zip._Storage) else None
        ),
    )
    torch_zip.save(path, {"w": np.ones(4, np.float32)})
    with pytest.raises(UserError, match="unknown storage"):
        read_source(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, share):
    path = tmp_path / "a.pth"
    torch_zip.save(path, {"w": np.ones((100, 100), np.float32)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match=r"a\.pth is (truncated or damaged|neither)"):
        read_source(str(path))


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "a.pth"
    torch_zip.save(path, {"w": np.ones((100, 100), np.float32)})
    data = bytearray(path.read_bytes())
    data[20_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_source(str(path))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match=r"no data\.pkl"):
        read_source(str(path))
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.and more")
    with pytest.raises(UserError, match=r"torch < 1\.6"):
        read_source(str(path))
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{" + b"x" * 40)  # a broken safetensors header
    with pytest.raises(UserError, match="damaged"):
        read_source(str(path))
