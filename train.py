"""Trains RS-ISRefiner: python train.py --config configs/base.py [--workdir DIR] [--set a.b=value].

Run again with the same work directory, it goes on exactly where the last checkpoint was. Ctrl-C
saves one and leaves.
"""

import argparse
import os
import signal
import tempfile
import time
from pathlib import Path

from rsisrefiner_jax import config as config_module
from rsisrefiner_jax.errors import UserError, run_main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="Python file that defines `config`")
    parser.add_argument("--workdir", help="default: runs/<config name>")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE")
    args = parser.parse_args()
    config = config_module.load(args.config, args.set)
    workdir = Path(args.workdir or Path("runs") / config.name)

    # What this run needs: say all that is missing at once, before anything slow.
    from rsisrefiner_jax.data.spec import open_source
    from rsisrefiner_jax.data.stretch import Recipe
    from rsisrefiner_jax.pretrained import backbone_problem, first_variables

    problems = [backbone_problem(config.model)]
    recipe, sources = Recipe.of(config.data), []
    for spec in config.data.train:
        try:
            sources.append(open_source(spec, recipe))
        except UserError as error:
            problems.append(str(error))
    if any(problems):
        raise UserError("\nerror: ".join(p for p in problems if p))
    make_workdir(workdir)

    import jax
    import numpy as np
    from tqdm import tqdm

    from rsisrefiner_jax import parallel
    from rsisrefiner_jax.checkpoint import CheckpointWriter, save_weights
    from rsisrefiner_jax.data.pipeline import training_iterator
    from rsisrefiner_jax.log import MetricsLog
    from rsisrefiner_jax.parameters import describe, parameter_counts
    from rsisrefiner_jax.previews import prediction_sheet
    from rsisrefiner_jax.training import ClickStep, init_state
    from rsisrefiner_jax.weights import split

    # Devices and data.
    parallel.initialize()
    devices = parallel.DataParallel(config.parallel.backend, config.train.batch_size)
    is_main = jax.process_index() == 0
    batches = training_iterator(config, jax.process_index(), jax.process_count(), sources)

    # Weights: two trees, and only the trainable one is ever differentiated or updated.
    variables, meta = first_variables(config.model, jax.random.key(config.seed))
    frozen, trainable = split(variables["params"], config.model.frozen)
    counts = parameter_counts(config.model, variables["params"], int(meta.get("unused", 0)))

    # State: fresh, or the newest checkpoint of this work directory.
    state = devices.replicate(init_state(config, trainable, variables["batch_stats"]))
    writer = CheckpointWriter(workdir / "checkpoints", config.train.keep)
    writer.save_frozen(frozen, meta)
    resumed = writer.latest_step() is not None
    if resumed:
        state = writer.restore(state, batches)
    elif config.train.save_untrained and is_main:
        untrained = workdir / "untrained"
        if not untrained.exists():
            save_weights(untrained, config, variables["params"], variables["batch_stats"], meta)
    frozen = devices.replicate(frozen)
    first, last = int(state.step), config.train.steps
    if is_main:
        (workdir / "config.json").write_text(config_module.to_json(config) + "\n")
        (workdir / "previews").mkdir(exist_ok=True)
        print(f"{config.name}: {config.note}" if config.note else config.name)
        print(describe(counts))
        print(f"{len(devices.devices)} x {devices.devices[0].device_kind}, {workdir}, ", end="")
        print(f"{'resuming at' if resumed else 'from'} step {first} of {last}")

    # The loop. Metrics are fetched only at log steps, so that the device never waits for them.
    train_step = ClickStep(config, devices)
    log = MetricsLog(workdir, first) if is_main else None
    progress = tqdm(total=last, initial=first, unit="step", disable=not is_main)
    started, saved = time.time(), first
    interrupt = Interrupt()
    if jax.process_count() == 1:  # several processes would not stop at the same step
        signal.signal(signal.SIGINT, interrupt)
    for step in range(first + 1, last + 1):
        batch = next(batches)
        state, metrics, shown = train_step(state, frozen, devices.shard(batch), step - 1)
        progress.update()
        if log and (step % config.train.log_every == 0 or step == last):
            values = {name: float(value) for name, value in metrics.items()}
            rate = (step - first) * config.train.batch_size / (time.time() - started)
            log.write(step, values | {"samples_per_second": round(rate, 3)})
            progress.set_postfix(
                loss=f"{values['loss']:.4f}", iou=f"{values['iou']:.3f}", samples_s=f"{rate:.1f}"
            )
        if is_main and (step % config.train.preview_every == 0 or step == last):
            shown = jax.tree.map(np.asarray, shown)
            prediction_sheet(batch, shown, workdir / "previews" / f"{step:07d}.png")
        stop = step == last or interrupt.requested
        if step % config.train.checkpoint_every == 0 or stop:
            writer.save(state, config, batches)
            saved = step
        if stop:
            break
    if writer.latest_step() is None:  # train.epochs=0
        writer.save(state, config, batches)
    progress.close()
    writer.close()
    if saved < last:
        print(f"step {saved} is saved; the same command goes on from there")
        raise KeyboardInterrupt
    if is_main:
        minutes = (time.time() - started) / 60
        print(f"{saved} steps done, {minutes:.1f} minutes in this run; next: ", end="")
        print(f"python eval.py --checkpoint {workdir} --out {workdir / 'eval'}")


def make_workdir(workdir: Path) -> None:
    """Raises UserError when nothing can be written there."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"--workdir {workdir} cannot be written ({error.strerror}); name another directory"
        ) from error


class Interrupt:
    """A handler of Ctrl-C: the first asks for an end after this step, a second ends at once."""

    requested = False

    def __call__(self, *_: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(2, b"\nstopping after this step; Ctrl-C again to stop at once\n")


if __name__ == "__main__":
    run_main(main)
