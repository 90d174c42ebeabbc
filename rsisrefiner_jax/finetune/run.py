"""Carries a plan out: evaluates, trains, evaluates again; goes on where it was stopped."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rsisrefiner_jax.checkpoint.loading import load_model
from rsisrefiner_jax.cluster.peers import watched
from rsisrefiner_jax.cluster.stopping import stop_request
from rsisrefiner_jax.config import Config
from rsisrefiner_jax.data.project.object_windows import ObjectWindows
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import Stopped, UserError, require
from rsisrefiner_jax.evaluated import Checkpoint
from rsisrefiner_jax.evaluation.runs import Run, read_run
from rsisrefiner_jax.experiment import evaluation, training
from rsisrefiner_jax.experiment.estimate import passes_of_step
from rsisrefiner_jax.finetune import plan as plans
from rsisrefiner_jax.finetune.blending import blend
from rsisrefiner_jax.finetune.outcome import Outcome, outcome_of
from rsisrefiner_jax.finetune.plan import Plan
from rsisrefiner_jax.finetune.settings import FEWEST, MOST, PER_OBJECT, network_of, training_of
from rsisrefiner_jax.networks import CHECKPOINTS, checkpoint_in

LEAST_TRAINED, LEAST_HELD_OUT = 8, 4  # objects
TRAINING = "training"  # the training's own work directory, in that of the fine-tuning
UNMEASURED = 200  # steps where nothing says how long one takes
BESIDE = 2.0  # what a step takes, in its passes: `small` on two cores took 2.0 to 2.4 of them


class Objects(NamedTuple):
    """The objects of a project by what becomes of them. left_out: they lie in between."""

    trained: ObjectWindows
    held_out: ObjectWindows
    left_out: int


def run(plan: Plan, out: Path) -> Outcome:
    """Evaluates before, trains, and evaluates after, into `out`.

    Raises:
        UserError: too few objects, or data or a network that cannot be opened.
        Stopped, KeyboardInterrupt: by a signal; the same call goes on from there.
    """
    require(
        (out / TRAINING).is_dir() or not (out / CHECKPOINTS).exists(),
        f"--out {out}: an earlier version of this program began it; name a new directory",
    )
    own = load_model(plan.network)
    network = network_of(plan, own.config)
    objects = open_objects(plan, network)
    training.make_workdir(out / TRAINING)
    plans.write(plan, out)
    held, left = len(objects.held_out), objects.left_out
    between = f"; {left} lie across the border between them and are left out" if left else ""
    print(f"{len(objects.trained)} objects to train on, {held} held out{between}")
    print(f"1 of 3: {plan.network} on the objects held out")
    before = evaluate(plan.network, network, out / "before")
    plan = with_steps(plan, before, network, len(objects.trained))
    plans.write(plan, out)
    assert plan.steps is not None
    config = training_of(plan, network, objects.trained.smallest_area(), plan.steps)
    print(f"2 of 3: training, {plan.steps} steps, {about(expected(plan.steps, before, config))}")
    train(config, out / TRAINING, objects)
    if checkpoint_in(out) is None:
        blend(plan.network, out / TRAINING, out / CHECKPOINTS)
    print("3 of 3: what has come of it on the same objects")
    after = evaluate(str(out), network, out / "after")
    return outcome_of(plan, before, after, objects_counted(objects))


def open_objects(plan: Plan, network: Config) -> Objects:
    """The objects of a plan. Raises UserError: they are too few, or cannot be opened."""
    (train,), (held,) = network.data.train, network.data.eval
    try:
        trained, held_out = open_source(train), open_source(held)
    except UserError as error:
        if "too few" not in str(error):
            raise
        raise UserError(f"{plan.project}: {error}; {wanted()}") from error
    assert isinstance(trained, ObjectWindows)
    assert isinstance(held_out, ObjectWindows)
    if trained.unusable:
        print(f"note: {plan.project}: {trained.unusable.sentence()}")
    counts = len(trained), len(held_out)
    require(
        counts[0] >= LEAST_TRAINED and counts[1] >= LEAST_HELD_OUT,
        f"{plan.project}: {trained.objects} finished objects are too few to train on, of which "
        f"{counts[0]} could be trained on and {counts[1]} held out; {wanted()}",
    )
    return Objects(trained, held_out, trained.objects - sum(counts))


def wanted() -> str:
    """What it takes."""
    return (
        f"{LEAST_TRAINED} and {LEAST_HELD_OUT} are needed, which about "
        f"{2 * (LEAST_TRAINED + LEAST_HELD_OUT)} objects give; finish some more"
    )


def objects_counted(objects: Objects) -> dict[str, int]:
    """For the outcome."""
    return {
        "trained": len(objects.trained),
        "held_out": len(objects.held_out),
        "left_out": objects.left_out,
    }


def evaluate(checkpoint: str, network: Config, out: Path) -> Run:
    """Clicks the objects held out with a checkpoint; one that is finished is only read.

    network: its configuration, in place of the one that it was saved with.
    """
    loaded = load_model(checkpoint)
    subject = Checkpoint(checkpoint, dataclasses.replace(loaded, config=network))
    setup = evaluation.prepare(subject, network.protocol)
    evaluation.run(setup, out)
    return read_run(out)


def entry_of(run: Run) -> dict[str, Any]:
    """The numbers of the only data set of an evaluation."""
    (entry,) = run.results["datasets"].values()
    found: dict[str, Any] = entry
    return found


def with_steps(plan: Plan, before: Run, network: Config, trained: int) -> Plan:
    """With as many steps as fit into the minutes, and are good for so many objects trained on."""
    if plan.steps is not None:
        return plan
    one = expected(1, before, training_of(plan, network, 0, 1))
    steps = UNMEASURED if math.isnan(one) else int(60 * plan.minutes / one)
    most = min(PER_OBJECT * trained, MOST)
    return dataclasses.replace(plan, steps=max(min(steps, most), FEWEST))


def expected(steps: int, before: Run, config: Config) -> float:
    """Seconds that steps take, from how long a click took; NaN where that was not measured."""
    seconds = entry_of(before)["seconds_per_click"]
    if seconds is None:
        return math.nan
    forward = seconds / (2 if config.protocol.flip else 1)  # of one picture
    return steps * forward * passes_of_step(config) * BESIDE


def about(seconds: float) -> str:
    """How long something takes, for a person."""
    if math.isnan(seconds):
        return "which take as long as the bar says"
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


def train(config: Config, out: Path, objects: Objects) -> None:
    """Trains to the end, from the newest checkpoint in `out` on.

    Raises:
        Stopped, KeyboardInterrupt: a signal has asked for an end; what was done is saved.
    """
    batch, devices = config.train.batch_size, jax.local_devices()
    devices = devices[: math.gcd(batch, len(devices))]
    with stop_request() as request, watched(config.parallel.patience) as peers:
        request.tell = peers.tell
        together = training.Together(request, peers)
        done, _, finished = training.run(
            config, out, [objects.trained], devices=devices, together=together
        )
    if finished:
        return
    said = f"step {done} is saved; the same command goes on from there"
    if request.code == 130:
        print(said)
        raise KeyboardInterrupt
    raise Stopped(said)
