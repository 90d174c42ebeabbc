"""The networks that come with the package."""

import json
from pathlib import Path

import numpy as np
import pytest

from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import load_weights
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.networks import PACKAGED, checkpoint_folder
from rsisrefiner_jax.predictor import Predictor


def test_a_packaged_network_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_weights("small").config.name == "annotator"
    (tmp_path / "small").mkdir()  # a folder of one's own comes first
    assert checkpoint_folder("small").absolute() == tmp_path / "small"
    with pytest.raises(UserError, match="small holds no checkpoint"):
        load_weights("small")
    with pytest.raises(UserError, match=r"bxo holds no checkpoint.*packaged one: box, small"):
        load_weights("bxo")


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_network_is_whole_and_says_where_it_comes_from(name):
    files = [path for path in PACKAGED[name].rglob("*") if path.is_file()]
    assert 1e6 < sum(path.stat().st_size for path in files) < 45e6


def test_the_box_says_what_it_is_made_of():
    weights = load_weights("box")
    about = json.loads((PACKAGED["box"] / "about.json").read_text())
    assert weights.config.data.train == tuple(entry["spec"] for entry in about["data"])
    assert all(entry["licence"] != "not stated" for entry in about["data"])
    assert all(entry["object_hash"].startswith("sha256:") for entry in about["data"])
    assert weights.meta["sha256"] == about["frozen_part"]["sha256"]
    notice = (PACKAGED["box"] / "NOTICE").read_text()
    assert all(word in notice for word in ("Apache License 2.0", "MIT", "ODbL", "CC BY 4.0"))


def test_the_box_answers_as_when_it_was_packaged():
    # A smaller side than its own: the same weights, in a tenth of the time.
    model = load_model("box", ["model.image_size=256"])
    predictor = Predictor(model)
    scene = open_source("synthetic:test@256")[0]
    predictor.set_image(scene.image)
    golden = np.load(Path(__file__).parent / "goldens" / "box.npz")
    for (y, x, positive), expected in zip(golden["clicks"], golden["probabilities"], strict=True):
        answer = predictor.click(y, x, bool(positive))
        coarse = answer.reshape(32, 8, 32, 8).mean((1, 3))
        np.testing.assert_allclose(coarse, expected, atol=2e-3)
