"""Fine-tuning on a project's objects: what it trains, what it says, and how it goes on."""

import dataclasses
import json

import jax
import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.checkpoint.runs import load_weights, save_weights
from rsisrefiner_jax.config import Clicks, Eval, from_json
from rsisrefiner_jax.data.project import network_paths
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.runs import read_run
from rsisrefiner_jax.finetune import outcome as outcomes
from rsisrefiner_jax.finetune import run as running
from rsisrefiner_jax.finetune.__main__ import main
from rsisrefiner_jax.finetune.plan import Plan, make_plan, written
from rsisrefiner_jax.finetune.settings import FEWEST, MOST, network_of, training_of
from rsisrefiner_jax.formats.masks import Mask
from rsisrefiner_jax.interaction.metrics import clicks_needed
from rsisrefiner_jax.models import registry
from rsisrefiner_jax.networks import DEFAULT
from tests import annotating, fakes, tiny

SIDE = 14  # of an object, pixels
CONFIG = dataclasses.replace(
    tiny.SMALL,
    clicks=Clicks(iterations=(0.0, 1.0)),
    eval=Eval(batch_size=2),
    protocol=dataclasses.replace(fakes.PAPER, max_clicks=3, flip=False, min_area=900),
)


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setattr(registry, "Refiner", tiny.SmallModel)
    with tiny.quick_compilation():
        yield


@pytest.fixture
def network(tmp_path):
    values = tiny.small_variables()
    save_weights(tmp_path / "network", CONFIG, values["params"], values["batch_stats"])
    return str(tmp_path / "network")


@pytest.fixture
def here(tmp_path):
    """A project of bright squares on noise, eight a row."""
    rng = np.random.default_rng(0)
    bands = rng.integers(1, 120, (3, 100, 300), np.uint8)
    masks = []
    for i in range(16):
        y, x = 10 + 50 * (i // 8), 5 + 36 * (i % 8)
        bands[:, y : y + SIDE, x : x + SIDE] += 100
        masks.append(Mask(x, y, np.ones((SIDE, SIDE), bool)))
    here = annotating.context(tmp_path)
    here.project.add_image(annotating.raster(tmp_path / "images", bands=bands))
    here.project.import_objects(1, annotating.items(masks))
    yield here
    here.project.close()


def test_the_whole_command(here, network, tmp_path, capsys, monkeypatch):
    """Stopped between its parts, gone on while the annotator goes on, and offered there."""
    project, out = tmp_path / "project", tmp_path / "first"
    words = [str(project), "--out", str(out), "--checkpoint", network, "--steps", "3"]
    words += ["--set", "train.batch_size=4"]
    with monkeypatch.context() as patch:
        patch.setattr(running, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            main(words)
    lines = (out / "before" / "objects.jsonl").read_text()
    assert len(lines.splitlines()) == 4
    here.project.delete_object(16)
    here.project.use_network("box")  # later than this fine-tuning began
    main([*words[:3], *words[5:]])  # the network is known
    assert (out / "before" / "objects.jsonl").read_text() == lines
    said = capsys.readouterr().out
    assert "12 objects to train on, 4 held out" in said
    assert f"1 of 3: {network} on the objects held out" in said
    assert "2 of 3: training, 3 steps" in said
    assert "the annotator offers it as networks/first" in said

    found = json.loads((out / outcomes.FILE).read_text())
    assert (found["steps"], found["network"]) == (3, network)
    assert found["objects"] == {"trained": 12, "held_out": 4, "left_out": 0}
    traces = [
        [
            line["ious"]
            for objects in read_run(out / part).objects.values()
            for line in objects.values()
        ]
        for part in ("before", "after")
    ]
    needed = [[clicks_needed(ious, 0.9, 3) for ious in part] for part in traces]
    assert [found["before"]["90"], found["after"]["90"]] == [np.mean(part) for part in needed]
    difference = found["difference"]["90"]
    assert difference["mean"] == np.mean(needed[1]) - np.mean(needed[0])
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert (out / "report" / "report.html").is_file()

    tuned, before, trained = map(load_weights, (out, network, out / "training"))
    assert (tuned.meta["step"], trained.step) == (3, 3)
    np.testing.assert_equal(tuned.params["backbone"], before.params["backbone"])  # frozen
    kernels = [one.params["head"]["kernel"] for one in (before, tuned, trained)]
    assert not np.array_equal(kernels[0], kernels[2])
    np.testing.assert_allclose(kernels[1], 0.3 * kernels[0] + 0.7 * kernels[2], atol=1e-7)
    means = [jax.tree.leaves(one.batch_stats)[0] for one in (before, tuned, trained)]
    assert not np.array_equal(means[0], means[2])
    np.testing.assert_allclose(means[1], 0.3 * means[0] + 0.7 * means[2], atol=1e-6)
    offered = project / "networks" / "first"
    assert network_paths.own_networks(project) == [offered]
    again = load_model(offered)
    np.testing.assert_equal(
        np.asarray(again.variables["params"]["head"]["kernel"]), tuned.params["head"]["kernel"]
    )
    assert "12 objects: 3.0 -> " in json.loads((offered / "about.json").read_text())["note"]
    (shown,) = [one for one in here.networks.all() if one.own]
    assert (shown.name, shown.note[:11]) == ("networks/first", "12 objects:")

    with pytest.raises(UserError, match="holds another fine-tuning"):
        main([*words[:-2], "--set", "train.batch_size=2"])


def stop(*_):
    raise KeyboardInterrupt


def plan_of(project, **changes):
    return dataclasses.replace(Plan(str(project), None, "small", (), 10, None), **changes)


def test_one_that_an_earlier_version_began(network, tmp_path):
    """Its checkpoints are those of the training itself."""
    (tmp_path / "out" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="out: an earlier version"):
        running.run(plan_of(tmp_path, network=network), tmp_path / "out")


def test_the_network_in_use_is_what_it_continues_from(here, tmp_path):
    project, out = tmp_path / "project", tmp_path / "out"
    assert make_plan(project, out, None, [], 10, None).network == DEFAULT
    here.project.use_network("networks/mine")
    plan = make_plan(project, out, None, [], 10, None)
    assert plan.network == str(project / "networks" / "mine")
    assert make_plan(project, out, "box", [], 10, None).network == "box"
    assert written(out) is None
    out.mkdir()
    (out / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="there is something else already"):
        make_plan(project, out, None, [], 10, None)


@pytest.mark.parametrize("field", ["data.train", "data.weights", "data.eval"])
def test_other_data_are_refused(tmp_path, field):
    with pytest.raises(UserError, match=f"^--set {field}: the objects of the project are"):
        make_plan(tmp_path, tmp_path / "out", None, [f"{field}=[]"], 10, None)
    assert not (tmp_path / "out").exists()


def test_what_is_changed_for_it():
    own = dataclasses.replace(tiny.CONFIG, data=dataclasses.replace(tiny.CONFIG.data, bands=(3,)))
    plan = plan_of("/p", until=7, changes=("model.image_size=96", "train.keep=5"))
    network = network_of(plan, own)
    assert network.data.train == ("project:/p,until=7,part=train,window=192",)
    assert network.data.eval == ("project:/p,until=7,part=held-out,window=96",)
    assert (network.data.bands, network.protocol.min_area) == ((), 0)
    config = training_of(plan, network, 100, 30)
    assert (config.train.init_from, config.train.max_steps, config.train.keep) == ("small", 30, 5)
    assert config.data.min_object_area == 25
    assert config.optim.lr == pytest.approx(0.3 * own.optim.lr)
    assert config.train.last_step == 30
    assert (config.data.augment.zoom, config.data.augment.scale[0]) == ((0.2, 0.7), 0.05)
    assert from_json(json.dumps(dataclasses.asdict(config))) == config


@pytest.mark.parametrize(
    ("minutes", "seconds_per_click", "objects", "steps"),
    [
        (2, 0.1, 100, 75),
        (0.01, 0.1, 100, FEWEST),
        (1e6, 0.1, 100, MOST),
        (1e6, 0.1, 20, 320),
        (1, None, 100, running.UNMEASURED),
    ],
)
def test_minutes_become_steps(monkeypatch, minutes, seconds_per_click, objects, steps):
    """A step of two pictures and two clicks, the last with a gradient: eight forward passes, and
    as much beside."""
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, batch_size=4))
    plan = plan_of("/p", minutes=minutes, changes=("train.batch_size=2",))
    monkeypatch.setattr(running, "entry_of", lambda _: {"seconds_per_click": seconds_per_click})
    assert running.with_steps(plan, None, config, objects).steps == steps
    assert running.with_steps(dataclasses.replace(plan, steps=7), None, config, 1).steps == 7


def test_too_few_objects_are_one_sentence(tmp_path):
    here = annotating.context(tmp_path)
    here.project.add_image(annotating.raster(tmp_path / "images"))
    masks = annotating.shapes()
    for count in (1, 6):
        here.project.import_objects(1, annotating.items(masks[:count]))
        with pytest.raises(UserError, match=r"too few .* finish some more") as said:
            main([str(tmp_path / "project"), "--out", str(tmp_path / "out")])
        assert "\n" not in str(said.value)
    here.project.close()
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="no project of the annotator"):
        main([str(tmp_path / "images"), "--out", str(tmp_path / "out")])


def test_what_it_says_of_the_outcome():
    def said(mean, low, high):
        found = {"mean": mean, "low": low, "high": high, "beyond_noise": low > 0 or high < 0}
        one = outcomes.Outcome(
            *("small", 9, {"trained": 20, "held_out": 7, "left_out": 0}, "sha256:0"),
            *({"90": 8.0}, {"90": 8.0 + mean}, {"90": found}, ()),
        )
        return outcomes.verdict(one), outcomes.table(one).splitlines()[-1], outcomes.note(one)

    better, row, note = said(-2.5, -4.0, -1.0)
    assert better == "It takes 2.5 clicks fewer an object to 90 % IoU."
    assert row == "| NoC@90 | 8.00 | 5.50 | -2.50 [-4.00, -1.00] |"
    assert note == "20 objects: 8.0 -> 5.5 clicks to 90 % on 7 others (-4.0 to -1.0)"
    assert "7 objects held out could prove" in said(-0.5, -2.0, 1.0)[0]
    assert said(1.0, 0.5, 2.0)[0].endswith("keep the network you have.")
