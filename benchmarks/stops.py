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
STEPS = 5  # for each time, so that there are enough


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
        self._struck: list[int] = []

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
        """One run, disturbed again and again and then finished; what went wrong."""
        faults: list[str] = []
        count: collections.Counter[str] = collections.Counter()
        slowest = 0.0
        disk = small_disk if how == "full" else lambda _: contextlib.nullcontext()
        (self._folder / how).mkdir()
        with disk(self._folder / how), self._trainer(how) as run:
            for number in range(self._options.times):
                phase = PHASES[how][number % len(PHASES[how])]
                saved, seconds, codes = run.saved(), *self._disturb(how, run, phase)
                if not any(codes):
                    break  # it was done before
                count[phase] += 1
                slowest = max(slowest, seconds)
                wrong = [*self._wrong(how, run, phase, seconds, codes), *_forgotten(run, saved)]
                faults += [f"{how} {number + 1} ({phase}): {sentence}" for sentence in wrong]
                said = f"{phase}, {seconds:.1f} s, {codes}, {wrong or 'good'}"
                print(f"{how} {number + 1}: {said}", flush=True)
            saved = run.saved()
            run.start()
            codes = run.ends()
            faults += [f"{how}, last start: {text}" for text in _forgotten(run, saved)]
            if set(codes) != {0}:
                faults.append(f"{how}, last start: {codes} {run.said()[0][-2000:]}")
            faults += [f"{how}: {text}" for text in differences(self._calm, run.workdir)]
        times = ", ".join(f"{phase} {n}" for phase, n in count.items())
        print(f"{how}: {count.total()} times ({times}), ended within {slowest:.1f} s", end="")
        print(f", {len(faults)} faults", flush=True)
        return faults

    @contextlib.contextmanager
    def _trainer(self, name: str) -> Iterator[Trainer]:
        options = self._options
        steps = max(options.times, 4) * STEPS
        flags = ["--config", options.config, "--set", *options.set, f"train.max_steps={steps}"]
        flags += [f"train.samples_per_epoch={8 * steps}"]
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

    def _disturb(self, how: str, run: Trainer, phase: str) -> tuple[float, list[int]]:
        """(seconds until all processes had ended, their exit codes)."""
        ballast = run.workdir / "ballast"
        if how == "full" and phase == "starting":
            fill(ballast)
        cache = None
        if phase == "compiling":
            cache = self._folder / f"begun-{how}-{run.starts}"
            shutil.copytree(self._begun, cache)
        run.start(cache=cache)
        self._wait(run, phase)
        since = time.monotonic()
        if how == "full":
            if phase != "starting":
                fill(ballast, self._rng.choice([0, 0, 1, 4]))
        else:
            number = signal.SIGTERM if how == "term" else signal.SIGKILL
            self._struck = self._some(phase)
            run.strike(number, self._struck)
        codes = run.ends(3 * LIMITS[how])
        ballast.unlink(missing_ok=True)
        return time.monotonic() - since, codes

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

    def _wrong(
        self, how: str, run: Trainer, phase: str, seconds: float, codes: list[int]
    ) -> Iterator[str]:
        """What was not as it should be about an end."""
        said = run.said()
        if seconds > LIMITS[how]:
            yield f"took {seconds:.0f} s"
        if how == "kill":
            others = [code for process, code in enumerate(codes) if process not in self._struck]
            if any(codes[process] != -signal.SIGKILL for process in self._struck) or 0 in others:
                yield f"exit codes {codes}"
            for process, text in enumerate(said):
                if process not in self._struck and "error: process" not in text:
                    yield f"process {process} does not say why it ended: {text[-1000:]}"
            return
        # Before anything of the program runs, a process ends by the signal itself.
        early = {-signal.SIGTERM} if phase == "starting" else set()
        if not set(codes) <= ({STOPPED} | early if how == "term" else {2}):
            yield f"exit codes {codes}: {said[0][-2000:]}"
        yield from (f"a traceback: {text[-2000:]}" for text in said if "Traceback" in text)
        if how == "full" and not all("the disk is full" in text for text in said):
            yield f"no sentence: {said[0][-1000:]}"
        if how == "term" and run.logged() and run.saved() != run.logged():
            yield f"step {run.logged()} was logged, {run.saved()} saved"


def _forgotten(run: Trainer, saved: int) -> list[str]:
    """Whether a start went on from another step than the one that was saved."""
    begun = run.begun()
    return [] if begun in (None, saved) else [f"went on from {begun}, though {saved} was saved"]


if __name__ == "__main__":
    run_main(main)
