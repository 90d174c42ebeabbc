"""A small training stopped, killed or without room at random moments, until it is done.

    python -m benchmarks.stops --how term kill --times 20 --processes 1
    python -m benchmarks.stops --how full --times 5           # as root

`term` sends SIGTERM, `kill` SIGKILL, while the run starts, compiles its step anew, takes steps and
saves; of several processes one gets it, or all. `full` fills the file system of 20 MB on which the
run lies, and frees it once the run has ended. Each time the same command goes on. In the end
metrics, previews and weights must be those of a run that nobody disturbed, to the bit.
"""

import argparse
import collections
import contextlib
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.small_disk import fill, small_disk
from benchmarks.trainer import SMALL, Trainer, differences, last_step
from rsisrefiner_jax.errors import STOPPED, run_main

LIMITS = {"term": 30.0, "kill": 60.0, "full": 60.0}  # seconds until every process has ended
PHASES = {
    "term": ("loop", "saving", "compiling", "starting"),
    "kill": ("saving", "loop", "compiling", "starting"),
    "full": ("saving", "loop", "starting"),
}
SAVING = 0.1  # seconds that it takes, about
STEPS = 40  # of a run


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--how", nargs="+", choices=list(LIMITS), default=["term", "kill"])
    parser.add_argument("--times", type=int, default=20, help="of each")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--devices", type=int, default=1, help="of each process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where runs and logs stay")
    parser.add_argument("--program", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--config", default="configs/quickstart.py")
    parser.add_argument("--set", nargs="+", default=list(SMALL), metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        check = Check(options, folder.absolute())
        faults = check.undisturbed() + [f for how in options.how for f in check.disturbed(how)]
    for fault in faults:
        print(f"BAD  {fault}")
    if faults:
        raise SystemExit(1)


class Check:
    """A run that nobody disturbs, and those that must equal it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._rng = random.Random(options.seed)
        self._took: dict[str, float] = {}  # seconds of a phase
        self._calm = folder / "calm"
        self._begun = folder / "begun"  # compiled programs, without that of a step
        (folder / "cache").mkdir(parents=True, exist_ok=True)

    def undisturbed(self) -> list[str]:
        """Makes the run to compare with; what went wrong."""
        with self._trainer("calm") as run:
            since = time.monotonic()
            run.start()
            run.wait(lambda: run.begun() is not None)
            self._took["starting"] = time.monotonic() - since
            shutil.copytree(self._folder / "cache", self._begun)
            run.wait(run.logged)
            self._took["compiling"] = time.monotonic() - since - self._took["starting"]
            codes = run.ends()
            seconds = ", ".join(f"{name} {took:.1f} s" for name, took in self._took.items())
            print(f"undisturbed: {last_step(self._calm)} steps, {seconds}", flush=True)
            return [] if set(codes) == {0} else [f"undisturbed: {codes} {run.said()[0][-2000:]}"]

    def disturbed(self, how: str) -> list[str]:
        """Runs that are disturbed again and again, then finished; what went wrong.

        One is mostly done before it was disturbed often enough; then another one begins.
        """
        faults: list[str] = []
        done: list[Disturbance] = []
        runs = 0
        while len(done) < self._options.times and runs < self._options.times + 3:
            runs += 1
            name = f"{how}-{runs}"
            (self._folder / name).mkdir()
            disk = small_disk if how == "full" else lambda _: contextlib.nullcontext()
            with disk(self._folder / name), self._trainer(name) as run:
                faults += self._one_run(how, run, done)
                faults += [f"{name}: {text}" for text in differences(self._calm, run.workdir)]
        phases = collections.Counter(one.phase for one in done)
        times = ", ".join(f"{phase} {number}" for phase, number in phases.items())
        slowest = max((one.seconds for one in done), default=0)
        codes = dict(collections.Counter(code for one in done for code in one.codes))
        print(f"{how}: {len(done)} times ({times}) in {runs} runs, exit codes {codes}, ", end="")
        print(f"ended within {slowest:.1f} s, {len(faults)} faults", flush=True)
        return faults

    def _one_run(self, how: str, run: Trainer, done: "list[Disturbance]") -> Iterator[str]:
        """Disturbs a run until it is finished; adds to `done`. What went wrong."""
        while True:
            last, saved = len(done) >= self._options.times, run.saved()
            if last:
                run.start()
                one = Disturbance("undisturbed", 0, run.ends(), [])
            else:
                one = self._disturb(how, run, PHASES[how][len(done) % len(PHASES[how])])
            wrong, finished = _forgotten(run, saved), not any(one.codes)
            if not finished and last:
                wrong.append(f"exit codes {one.codes}: {run.said()[0][-2000:]}")
            elif not finished:
                wrong += self._wrong(how, run, one)
                done.append(one)
            what = f"{how} {len(done)}: {one.phase}, {one.seconds:.1f} s, {one.codes}"
            print(f"{what}, {wrong or 'good'}", flush=True)
            yield from (f"{what}: {sentence}" for sentence in wrong)
            if finished or last:
                return

    @contextlib.contextmanager
    def _trainer(self, name: str) -> Iterator[Trainer]:
        options = self._options
        flags = ["--config", options.config, "--set", *options.set]
        flags += [f"train.max_steps={STEPS}", f"train.samples_per_epoch={8 * STEPS}"]
        given = {"program": options.program} if options.program else {}
        run = Trainer(
            self._folder / name,
            self._folder / "logs" / name,
            self._folder / "cache",
            flags,
            options.processes,
            options.devices,
            **given,
        )
        try:
            yield run
        finally:
            run.close()

    def _disturb(self, how: str, run: Trainer, phase: str) -> "Disturbance":
        """Starts a run and disturbs it in this phase."""
        ballast, struck = run.workdir / "ballast", list[int]()
        if how == "full" and phase == "starting":
            fill(ballast)
        cache = None
        if phase == "compiling":
            cache = self._folder / f"begun-{how}-{self._rng.getrandbits(32)}"
            shutil.copytree(self._begun, cache)
        run.start(cache=cache)
        if how != "full" or phase != "starting":
            self._wait(run, phase)
        since = time.monotonic()
        if how != "full":
            struck = self._some(phase)
            run.strike(signal.SIGTERM if how == "term" else signal.SIGKILL, struck)
        elif phase != "starting":
            fill(ballast, self._rng.choice([0, 0, 1, 4]))
        codes = run.ends(3 * LIMITS[how])
        ballast.unlink(missing_ok=True)
        return Disturbance(phase, time.monotonic() - since, codes, struck)

    def _wait(self, run: Trainer, phase: str) -> None:
        """Until a random moment of a phase."""
        if phase == "starting":
            time.sleep(self._rng.uniform(0, self._took["starting"]))
            return
        run.wait(lambda: run.begun() is not None)
        if phase == "compiling":
            time.sleep(self._rng.uniform(0, self._took["compiling"]))
        elif phase == "loop":
            wanted = (run.begun() or 0) + self._rng.randint(1, 6)
            run.wait(lambda: run.logged() >= wanted)
            time.sleep(self._rng.uniform(0, SAVING))
        else:
            run.wait(run.saving)
            time.sleep(self._rng.uniform(0, SAVING))

    def _some(self, phase: str) -> list[int]:
        """The processes that a signal is sent to: all while they join one another."""
        every = list(range(self._options.processes))
        choice = self._rng.choice([every, *([process] for process in every)])
        return every if phase == "starting" else choice

    def _wrong(self, how: str, run: Trainer, one: "Disturbance") -> list[str]:
        """What was not as it should be about an end."""
        wrong = [f"took {one.seconds:.0f} s"] if one.seconds > LIMITS[how] else []
        return wrong + list({"kill": _killed, "term": _stopped, "full": _full}[how](run, one))


class Disturbance(NamedTuple):
    """What was done to a run, and how it ended."""

    phase: str
    seconds: float  # until all processes had ended
    codes: list[int]
    struck: list[int]  # processes that a signal was sent to


def _killed(run: Trainer, one: Disturbance) -> Iterator[str]:
    struck = {code for process, code in enumerate(one.codes) if process in one.struck}
    if struck != {-signal.SIGKILL} or 0 in one.codes:
        yield f"exit codes {one.codes}"
    for process, text in enumerate(run.said()):
        if process not in one.struck and "error: process" not in text:
            yield f"process {process} does not say why it ended: {text[-1000:]}"


def _stopped(run: Trainer, one: Disturbance) -> Iterator[str]:
    # Before anything of the program runs, a process ends by the signal itself.
    early = {-signal.SIGTERM} if one.phase == "starting" else set()
    if not set(one.codes) <= {STOPPED} | early:
        yield f"exit codes {one.codes}: {run.said()[0][-2000:]}"
    yield from _tracebacks(run)
    if run.logged() and run.saved() != run.logged():
        yield f"step {run.logged()} was logged, {run.saved()} saved"


def _full(run: Trainer, one: Disturbance) -> Iterator[str]:
    if set(one.codes) != {2}:
        yield f"exit codes {one.codes}"
    yield from _tracebacks(run)
    if not all("the disk is full" in text for text in run.said()):
        yield f"no sentence: {run.said()[0][-1000:]}"


def _tracebacks(run: Trainer) -> Iterator[str]:
    yield from (f"a traceback: {text[-2000:]}" for text in run.said() if "Traceback" in text)


def _forgotten(run: Trainer, saved: int) -> list[str]:
    """Whether a start went on from another step than the one that was saved."""
    begun = run.begun()
    return [] if begun in (None, saved) else [f"went on from {begun}, though {saved} was saved"]


if __name__ == "__main__":
    run_main(main)
