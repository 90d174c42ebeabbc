"""Tables III and V to IX: their rows, what is trained in each, and what the files say."""

import dataclasses
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters import partial_eval

from rsisrefiner_jax.config import Config, Model, Train
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.interaction.clicks import empty
from rsisrefiner_jax.models.parameters import parameter_counts, switched_off
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from rsisrefiner_jax.tables import jobs as work
from rsisrefiner_jax.tables.__main__ import main
from rsisrefiner_jax.tables.jobs import Job, run_all
from rsisrefiner_jax.tables.noise import paired_difference, sentence
from rsisrefiner_jax.tables.table import TABLES
from rsisrefiner_jax.weights import save_npz
from tests import evaluations, tiny

BASE = dataclasses.replace(
    tiny.CONFIG, name="a base", model=dataclasses.replace(tiny.MODEL, frozen=())
)
TINY_VIT = ("backbone", "prompt_encoder", "mask_decoder")


def mobilesam(path) -> Config:
    """A base on TinyViT whose weights file names all of MobileSAM."""
    save_npz(path / "mobilesam.npz", {name: {"x": np.zeros(1)} for name in TINY_VIT}, {})
    model = Model(
        backbone="tiny_vit", frozen=TINY_VIT, sam_mask=True,
        backbone_weights=str(path / "mobilesam.npz"),
    )  # fmt: skip
    return Config(name="on MobileSAM", model=model)


def test_the_papers_numbers():
    assert TABLES[6].metrics == ("NoC80", "NoC90")
    assert TABLES[3].targets == (0.85, 0.9)
    assert TABLES[5].targets == ()
    published = {number: table.published() for number, table in TABLES.items()}
    assert published[3]["LoRA"]["WHUBuilding"] == {"NoC85": 5.23, "NoC90": 8.74}
    assert published[3]["full fine-tuning"]["LoveDA Urban"] == {"NoC85": 8.79, "NoC90": 11.62}
    assert published[5]["LoRA"]["448 px, ViT-B"] == {"trainable": 1.1, "GFLOP": 181.3, "ms": 39.8}
    assert published[6]["F_HQ"]["SandBar"] == {"NoC80": 4.84, "NoC90": 13.24}
    assert published[9]["original"]["iSAID"] == {"NoC80": 2.24, "NoC90": 6.70}
    for number in (6, 7, 8, 9):  # the last row of each is the same network
        last = list(published[number].values())[-1]
        assert last["WHUBuilding"] == {"NoC80": 3.65, "NoC90": 8.42}
    assert [len(rows) for rows in published.values()] == [4, 4, 4, 3, 4, 2]


def test_rows_are_named_as_the_papers_and_end_with_the_base(tmp_path):
    for number, table in TABLES.items():
        for base in (BASE, mobilesam(tmp_path)):
            if number in (6, 7, 8) and base is not BASE:
                continue
            rows = table.rows(base, "mfp")
            assert list(rows) == list(table.published())
            assert list(rows.values())[-1] == base
            for config in rows.values():  # all else is the same
                same = dataclasses.replace(config, model=base.model, train=base.train)
                assert same == base
    assert TABLES[7].rows(BASE)["theta = 0.5"].model.theta == 0.5
    assert TABLES[8].rows(BASE)["only F_ViT^2"].model.early_fusion == "second"


def test_what_is_trained_of_a_pretrained_model(tmp_path):
    rows = TABLES[3].rows(BASE, pretrained="mfp")
    models = [rows[name].model for name in ("pretrained weights", "full fine-tuning", "LoRA")]
    params = abstract_variables(models[2])["params"]
    plain = {name: tree for name, tree in params.items() if name != "lora"}
    fixed, full = (parameter_counts(model, plain) for model in models[:2])
    lora = parameter_counts(models[2], params)
    assert fixed["trainable"] == full["frozen"] == 0
    assert full["trainable"] == fixed["frozen"] == lora["frozen"] > 0
    assert lora["trainable"] == 2 * 4 * 16 * (32 + 32)  # blocks, projections, rank
    assert {c.train.init_from for c in rows.values()} == {"mfp", None}
    assert [c.train.steps > 0 for c in rows.values()] == [False, True, True, True]
    assert {c.model.network for c in TABLES[3].rows(mobilesam(tmp_path)).values()} == {
        "sam", "refiner",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("base", "number", "message"),
    [
        (Config(model=Model(backbone="tiny_vit", frozen=())), 6, "no Image Feature Extractor"),
        (Config(model=Model(theta=0.5)), 7, r"model\.theta=0\.5 is an ablation already"),
        (Config(model=Model(decoder="released")), 6, "does not read F_ViT"),
        (Config(), 3, "name the directory .* with --pretrained"),
        (Config(train=Train(epochs=0)), 9, "would train nothing"),
    ],
)
def test_bases_that_a_table_cannot_have(base, number, message):
    with pytest.raises(UserError, match=message) as error:
        TABLES[number].rows(base)
    assert "\n" not in str(error.value)


def test_what_an_ablation_switches_off_reaches_no_answer():
    variables = abstract_variables(BASE.model)
    rows = {name: c for k in (6, 7, 8) for name, c in TABLES[k].rows(BASE).items() if c != BASE}
    for alike in ("theta = 0.5", "only F_ViT^1", "only F_ViT^2"):  # one of each kind is enough
        del rows[alike]
    for name, config in (rows | {"ours": BASE}).items():
        model = make_model(config.model)
        s = config.model.image_size

        def answer(params, stats, model=model, s=s):
            image, prev_mask = jnp.zeros((1, s, s, 3)), jnp.zeros((1, s, s))
            variables = {"params": params, "batch_stats": stats}
            given = (image, prev_mask, empty(1, 2))
            return model.apply(variables, *given, first=False)

        traced = jax.make_jaxpr(answer)(variables["params"], variables["batch_stats"])
        _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True])
        leaves = jax.tree.leaves(variables["params"])
        unused = sum(x.size for x, is_used in zip(leaves, used, strict=False) if not is_used)
        if not config.model.f_vit:  # half of a kernel reads zeros
            unused += config.model.width**2
        assert switched_off(config.model, variables["params"]) == unused, name
        assert (unused > 0) == (name != "ours"), name


def test_paired_differences():
    rng = np.random.default_rng(1)
    hard = rng.integers(1, 20, 40).astype(float)  # objects differ by more than the rows do
    reference = hard + rng.normal(0, 0.3, (3, 40))
    row = reference + 0.5 + rng.normal(0, 0.3, (3, 40))
    found = paired_difference(row, reference)
    assert found["low"] < found["mean"] < found["high"]
    assert found["outside_noise"]
    # Plain loops, other random numbers.
    draws = []
    for _ in range(4000):
        seeds, objects = rng.integers(0, 3, 3), rng.integers(0, 40, 40)
        draws.append((row - reference)[seeds][:, objects].mean())
    expected = np.percentile(draws, [2.5, 97.5])
    np.testing.assert_allclose([found["low"], found["high"]], expected, atol=0.02)
    # A training that went wrong makes no difference of rows.
    one_bad_seed = reference + np.array([[-0.1], [-0.1], [5.0]])
    assert not paired_difference(one_bad_seed, reference)["outside_noise"]
    assert not paired_difference(reference, reference)["outside_noise"]


def test_what_is_said_of_noise():
    yes = {"mean": 0.5, "low": 0.2, "high": 0.8, "outside_noise": True}
    no = yes | {"low": -0.2, "outside_noise": False}
    said = sentence([("a", yes), ("b", no)], "ours", 3)
    assert said.startswith(
        "Outside noise: 1 of 2 differences from 'ours', namely a (+0.5, 95 % between +0.2 and "
        "+0.8). The others are not told from noise"
    )
    said = sentence([("b", no)], "ours", 1)
    assert said.startswith("None of the 1 differences from 'ours' is outside noise")
    assert "One seed: the intervals are over the objects alone" in said


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The command line, with jobs that only write what an evaluation would; returns those run."""
    (tmp_path / "base.py").write_text("from tests.test_tables import BASE as config\n")
    ran = []
    needed = {"ours": [3, 5, 21, 8], "table-9-original": [4, 7, 21, 9]}

    def run(job, sources, device=None):
        kind = job.directory.parent.name
        seed = job.config.seed
        clicks = [n + seed * (n < 10) for n in needed.get(kind, [2, 2, 2, 2])]
        evaluations.folder(job.evaluated, {"ships": [clicks]})
        ran.append((kind, seed))

    monkeypatch.setattr(Job, "run", run)
    monkeypatch.setattr(jax, "local_devices", lambda: ["the only one"])

    def command(*words):
        ran.clear()
        main([*words, "--base", str(tmp_path / "base.py"), "--out", str(tmp_path / "out")])
        return list(ran)

    command.ran, command.out = ran, tmp_path / "out"
    return command


DATA = ["--eval-data", "synthetic:test@96"]


def test_what_a_table_says(tables):
    assert tables("9", "--seeds", "2", *DATA) == [
        ("table-9-original", 0), ("table-9-original", 1), ("ours", 0), ("ours", 1),
    ]  # fmt: skip
    found = json.loads((tables.out / "table9.json").read_text())
    assert (found["reference"], found["seeds"], found["base"]) == ("ours", 2, "a base")
    assert found["budget"]["steps"] == BASE.train.steps
    original, ours = found["rows"]
    assert original["paper"]["iSAID"]["NoC90"] == 6.70
    # At IoU 0.9: 4 7 20 9 and 5 8 20 10 clicks against 3 5 20 8 and 4 6 20 9.
    assert original["datasets"]["ships"]["noc"]["90"] == {"mean": 10.375, "seeds": [10.0, 10.75]}
    assert ours["datasets"]["ships"]["noc"]["90"]["mean"] == 9.375
    assert original["datasets"]["ships"]["nof"]["90"] == {"mean": 1.0, "seeds": [1, 1]}
    difference = original["datasets"]["ships"]["difference"]["NoC90"]
    assert difference["mean"] == 1.0
    assert difference["outside_noise"]
    assert ours["datasets"]["ships"]["difference"] == {}
    never = evaluations.traced(21, 2)[-1]  # the third object, under either seed
    miou = ours["datasets"]["ships"]["miou"]
    assert (miou["clicks"], miou["mean"]) == (20, pytest.approx((3 * 0.9375 + never) / 4))
    assert original["datasets"]["ships"]["difference"]["mIoU"]["mean"] == 0
    text = (tables.out / "table9.md").read_text()
    assert "| original | 1.23 M | 2.24 / 6.70 | 4.79 / 13.21 | 3.94 / 9.11 |" in text
    assert "| ours | 1.23 M |" in text
    assert "10.38 (**+1 [" in text
    assert text.count(f"| {miou['mean']:.3f} ") == 2
    assert "2 seeds; every trained row 6 steps of 4 pictures" in text
    assert found["noise"] in text


def test_rows_are_shared_and_nothing_is_done_twice(tables):
    assert len(tables("6", "7", "9", "--seeds", "1", *DATA)) == 3 + 2 + 1 + 1
    assert tables("6", "7", "9", "--seeds", "1", *DATA) == []
    for number in (6, 7, 9):
        assert json.loads((tables.out / f"table{number}.json").read_text())["seeds"] == 1
    assert tables("9", "--seeds", "2", *DATA) == [("table-9-original", 1), ("ours", 1)]
    assert json.loads((tables.out / "table9.json").read_text())["seeds"] == 2


def test_a_command_that_ends_early_goes_on(tables, monkeypatch):
    run, names = Job.run, []

    def stop_at_the_fourth(job, sources, device=None):
        names.append(job)
        if len(names) == 4:
            (job.evaluated).mkdir(parents=True)
            (job.evaluated / "results.json").write_text('{"datas')  # killed while it was written
            raise KeyboardInterrupt
        run(job, sources, device)

    monkeypatch.setattr(Job, "run", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        tables("9", "--seeds", "2", *DATA)
    assert json.loads((tables.out / "table9.json").read_text())["seeds"] == 1
    monkeypatch.setattr(Job, "run", run)
    assert tables("9", "--seeds", "2", *DATA) == [("ours", 1)]


def test_other_settings_do_not_mix(tables, tmp_path):
    directory = tmp_path / "out" / "runs" / "a-base" / "ours" / "seed-0"
    tables("9", "--seeds", "1", *DATA)
    other = dataclasses.asdict(dataclasses.replace(BASE, note="x"))
    (directory / "config.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match=r"seed-0: holds a run of other settings \(note was x"):
        tables("9", "--seeds", "1", *DATA)
    with pytest.raises(UserError, match=r"table 6 on a base: .*released"):
        tables("6", "--set", "model.decoder=released")
    with pytest.raises(UserError, match="--seeds 0"):
        tables("9", "--seeds", "0")


def test_several_devices_share_the_jobs():
    running, ended = [], []
    ready = SimpleNamespace(count=0)

    class Fake:
        def __init__(self, number):
            self.number = number
            self.directory = Path(f"row-{number}") / "seed-0"

        def run(self, sources, device):
            running.append((self.number, device))
            if self.number == 5:
                raise UserError("the fifth")

    devices = jax.devices()[:2]

    def finished():
        ready.count += 1
        ended.append(len(running))

    run_all([(Fake(k), ()) for k in range(5)], devices, finished)
    assert sorted(number for number, _ in running) == [0, 1, 2, 3, 4]
    assert {device for _, device in running} <= set(devices)
    assert ready.count == 5
    with pytest.raises(UserError, match="the fifth"):
        run_all([(Fake(5), ())], devices, finished)


def test_the_seeds_of_a_row_stay_on_one_device():
    together = threading.Barrier(2)  # the devices run in step
    had = {}

    class Fake:
        def __init__(self, directory):
            self.directory = Path(directory)

        def run(self, sources, device):
            together.wait(60)
            had.setdefault(self.directory.parent.name, []).append(device)

    names = ["a/0", "b/0", "b/1", "a/1", "a/2", "b/2"]
    run_all([(Fake(name), ()) for name in names], jax.devices()[:2], lambda: None)
    assert {name: len(devices) for name, devices in had.items()} == {"a": 3, "b": 3}
    assert [len(set(devices)) for devices in had.values()] == [1, 1]


def test_equal_budgets_are_checked(tmp_path):
    longer = dataclasses.replace(BASE, train=dataclasses.replace(BASE.train, epochs=9))
    with pytest.raises(UserError, match="unequal budgets"):
        work.check_budgets([Job(tmp_path / "a", BASE), Job(tmp_path / "b", longer)])
