"""A network exported, and loaded again by jax alone."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import save_weights
from rsisrefiner_jax.interaction.clicks import Clicks
from tests import tiny

pytest.importorskip("flatbuffers", reason="needs the extra [export]")

ROOT = Path(__file__).parent.parent
# Runs where this package, flax and everything else but jax and numpy are not to be found.
ALONE = """
import json, sys
import jax, numpy as np
from jax import export

about = json.load(open("export.json"))
call = {
    name: export.deserialize(bytearray(open(entry["file"], "rb").read())).call
    for name, entry in about["functions"].items()
}
given = np.load("given.npz")
features = call["encode_image"](given["image"])
for clicks in ("2", "5"):  # slots
    rest = given["prev_mask"], given["yx" + clicks], given["label" + clicks]
    (logits,) = call["predict"](*features, *rest)
    np.save("logits" + clicks, logits)
one = [x[:1] for x in (given["image"], *rest)]
np.save("one", call["predict"](*call["encode_image"](one[0]), *one[1:])[0])
assert not {"rsisrefiner_jax", "flax", "orbax"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The tiny network, by the command line; its checkpoint lies beside as `checkpoint`."""
    folder = tmp_path_factory.mktemp("export")
    values = tiny.variables()
    save_weights(folder / "checkpoint", tiny.CONFIG, values["params"], values["batch_stats"])
    words = ["-m", "rsisrefiner_jax.export", folder / "checkpoint", folder / "out"]
    done = subprocess.run(
        [sys.executable, *map(str, words), "--set", "model.first_pass=single"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out"


def test_jax_alone_gives_the_same_logits(exported):
    loaded = load_model(exported.parent / "checkpoint", ["model.first_pass=single"])
    x, clicks = tiny.object_inputs()
    few = [np.asarray(slots)[:, :2] for slots in clicks]
    more = [np.asarray(slots)[:, :5] for slots in clicks]  # three are unused
    np.savez(
        exported / "given.npz",
        image=x[..., :3],
        prev_mask=x[..., 3],
        **{"yx2": few[0], "label2": few[1], "yx5": more[0], "label5": more[1]},
    )
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=exported, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]

    def answer(image, prev_mask, clicks):
        features = loaded.model.apply(loaded.variables, image, method="encode_image")
        return loaded.model.apply(loaded.variables, features, prev_mask, clicks, method="predict")

    expected = np.asarray(jax.jit(answer)(x[..., :3], x[..., 3], Clicks(*few)))
    assert expected.std() > 0.01
    for name in ("logits2", "logits5"):
        np.testing.assert_allclose(np.load(exported / f"{name}.npy"), expected, atol=1e-4)
    np.testing.assert_allclose(np.load(exported / "one.npy"), expected[:1], atol=1e-4)


def test_the_export_says_what_goes_in_and_comes_out(exported):
    about = json.loads((exported / "export.json").read_text())
    size = tiny.SIZE
    assert (about["network"], about["image_size"], about["threshold"]) == ("tiny", size, 0.5)
    encode, predict = about["functions"]["encode_image"], about["functions"]["predict"]
    assert encode["inputs"] == [
        {
            "name": "image",
            "shape": ["b", size, size, 3],
            "dtype": "float32",
            "meaning": "RGB in 0..1, a square crop",
        }
    ]
    names = [array["name"] for array in encode["outputs"]]
    assert [array["name"] for array in predict["inputs"]] == [
        *names,
        "prev_mask",
        "clicks_yx",
        "clicks_label",
    ]
    assert predict["inputs"][-1]["shape"] == ["b", "k"]
    assert predict["outputs"][0]["shape"] == ["b", size, size]
