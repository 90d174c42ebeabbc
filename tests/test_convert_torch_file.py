"""The restricted reader of `torch.save` files: exact on tensors, deaf to everything else."""

import argparse
import builtins
import collections
import contextlib
import enum
import os
import pathlib
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest

from convert_weights.source import read_source
from convert_weights.torch_file import Inert, read_torch_file
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


def beside():
    """What real files hold beside the weights: the objects themselves, or names as they have."""
    made = {}
    for module, name in (
        ("omegaconf.dictconfig", "DictConfig"),
        ("omegaconf.base", "ContainerMetadata"),
        ("easydict", "EasyDict"),
        ("timm.utils.model_ema", "ModelEma"),
        ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
        ("__main__", "Settings"),
    ):
        made[name] = (module, type(name, (dict,), {"__module__": module, "__qualname__": name}))
    objects = {name: kind(lr=0.1) for name, (_, kind) in made.items()}
    for value in objects.values():
        value.state = {"nested": [1, 2]}
    kinds = enum.Enum("Phase", ["TRAIN"], module="trainer.states")
    return made | {"Phase": ("trainer.states", kinds)}, {
        **objects,
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs/x")),
        "metrics": {"loss": np.float64(0.3), "step": np.int64(7)},
        "numpy": {"rng": np.random.default_rng(0).bit_generator.state},
        "counter": collections.Counter("aab"),
        "milestones": collections.defaultdict(list, {pathlib.PurePosixPath("a"): [1]}),
        "phase": kinds.TRAIN,
        "optimizer_states": [{"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}],
    }


def test_what_lies_beside_the_weights_is_skipped(tmp_path):
    path = str(tmp_path / "a.pth")
    ones = np.ones(2, np.float32)
    weights = {"model.backbone.w": ones, "ema_model.backbone.w": 0 * ones}
    classes, others = beside()
    with contextlib.ExitStack() as stack:
        for name, (module, kind) in classes.items():
            stack.enter_context(torch_zip.fake_module(module, **{name: kind}))
        torch_zip.save(path, {"state_dict": {**weights, "_extra_state": others}, **others})
    source = read_source(path)
    assert list(source.tensors) == ["backbone.w"]
    np.testing.assert_array_equal(source.tensors["backbone.w"], [1, 1])
    assert set(source.skipped) == {"ema_model.backbone.w", "_extra_state"}
    content = read_torch_file(path)
    for name in ("DictConfig", "EasyDict", "ModelEma", "Settings", "counter", "milestones"):
        assert type(content[name]) is Inert
        assert not vars(content[name])
    assert type(content["metrics"]["loss"]) is Inert


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "model.module."])
def test_prefixes_of_trainers_are_taken_off(tmp_path, prefix):
    path = str(tmp_path / "a.pth")
    torch_zip.save(path, {"model": {f"{prefix}{key}": np.ones(2, np.float32) for key in "ab"}})
    assert list(read_source(path).tensors) == ["a", "b"]


def test_dtypes_and_unknown_storages_are_inert(tmp_path):
    """As torch writes them: a dtype by its name, a complex tensor by a storage of its own."""
    path = str(tmp_path / "a.pth")
    torch_zip.save(path, {"w": np.ones(2, np.float32)})
    commands = [
        b"\x80\x02}(",
        b"X\x05\x00\x00\x00dtypectorch\nfloat32\n",
        b"X\x01\x00\x00\x00zctorch._utils\n_rebuild_tensor_v2\n",
        b"((X\x07\x00\x00\x00storagectorch\nComplexFloatStorage\n",
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00(K\x02t(K\x01t\x89}tR",
        b"X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n",
        b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\n",
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00(K\x02t(K\x01t\x89}tR",
        b"u.",
    ]
    other = tmp_path / "b.pth"
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(other, "w") as b:
        b.writestr("archive/data.pkl", b"".join(commands))
        b.writestr("archive/data/0", a.read("archive/data/0"))
    content = read_torch_file(str(other))
    assert content["dtype"] is Inert
    assert type(content["z"]) is Inert
    np.testing.assert_array_equal(content["w"], [1, 1])


def test_nothing_of_a_file_is_imported_or_called(tmp_path, monkeypatch):
    """Not even what is importable and harmless by its name."""
    module, called = "harmless_settings", []
    (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments):
        called.append(arguments)

    run.__module__, run.__qualname__ = module, "run"

    class Call:
        def __reduce__(self):
            return run, ("now",)

    path = str(tmp_path / "a.pth")
    with torch_zip.fake_module(module, run=run):
        torch_zip.save(path, {"state_dict": {"w": np.ones(2, np.float32)}, "config": Call()})
        assert list(read_source(path).tensors) == ["w"]
    assert list(read_source(path).tensors) == ["w"]
    assert module not in sys.modules
    assert not called
