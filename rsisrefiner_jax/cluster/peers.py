"""Notices that another process of the run is gone, or at a standstill, and ends all of them.

Every process says each BEAT what it is doing, through jax's coordination service, and reads what
the others say. The first to see that one of them

- has ended with an error: gives its reason;
- has not been heard of for `patience` seconds: it was killed, or its machine is gone or stopped;
- is still at something of its own (its data, a picture) while this one has waited for it in a
  computation for `patience` seconds: is at a standstill;

says so and leaves; by that, or by themselves, so do the others. jax's own way is an abort with a
C++ stack after five minutes. Once process 0, the coordinator, is gone, jax aborts the others within
seconds: its stack comes first, then the sentence (coordinator.py).
"""

import contextlib
import json
import os
import platform
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
from jax._src import distributed

from rsisrefiner_jax.cluster.coordinator import GONE, explain_aborts
from rsisrefiner_jax.cluster.leaving import leave
from rsisrefiner_jax.errors import outcome

BEAT = 2.0  # seconds
TOGETHER = ("computing", "saving")  # what all processes do at once, so that one waits for others
_BEATS, _END, _LEFT = "rsisrefiner/beat/", "rsisrefiner/end", "rsisrefiner/left/"
# How collectives and barriers fail when another process is gone.
_BROKEN = ("gloo", "nccl", "unavailable", "deadline_exceeded", "barrier", "connection", "cancelled")


@contextlib.contextmanager
def watched(patience: float) -> Iterator["Peers"]:
    """The block ends in all processes if it ends in one with an error, or if one is gone."""
    peers = Peers(patience)
    try:
        yield peers
    except BaseException as error:
        if peers.count > 1:
            peers.leave(error)
        raise
    peers.finish()


class Peers:
    """The processes of this run; nothing to do where there is one."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.count = jax.process_count()
        self._own = jax.process_index()
        self._doing, self._step, self._since = "starting", 0, time.monotonic()
        self._heard: dict[int, tuple[str, float]] = {}  # by process: its beat, and when that came
        self._ended = threading.Event()
        self._client: Any = distributed.global_state.client
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self.count > 1:
            explain_aborts()
            self._thread.start()

    def at(self, doing: str, step: int) -> None:
        """Says what this process is doing now, for which step."""
        self._doing, self._step, self._since = doing, step, time.monotonic()

    def tell(self, code: int, sentence: str, gone: int = 0) -> None:
        """Ends the other processes, except so many that are gone, with this code and sentence."""
        if self.count == 1:
            return
        self._ended.set()
        end = {"code": code, "sentence": f"process {self._own} ({_here()}): {sentence}"}
        end["gone"] = gone
        with contextlib.suppress(Exception):  # another one was first; jax has no error of its own
            self._client.key_value_set(_END, json.dumps(end))
        self._part(gone)

    def _part(self, gone: int) -> None:
        """Says that this process ends. Process 0 waits until all say so, but those that are gone.

        The service that tells them ends with it; jax aborts a process that misses the service.
        """
        with contextlib.suppress(Exception):
            self._client.key_value_set(f"{_LEFT}{self._own}", "", allow_overwrite=True)
            end = time.monotonic() + 4 * BEAT
            while self._own == 0 and time.monotonic() < end:
                if len(self._client.key_value_dir_get(_LEFT)) >= self.count - gone:
                    time.sleep(BEAT / 2)  # they say so, and then end
                    return
                time.sleep(BEAT / 10)

    def leave(self, error: BaseException) -> NoReturn:
        """Ends all processes with the reason why this one ends."""
        text = f"{type(error).__name__}: {error}"
        code, sentence = outcome(error)
        if sentence is None and any(word in text.lower() for word in _BROKEN):
            # The watching thread knows who is gone, at once or when its patience is at its end.
            time.sleep(self.patience + 5 * BEAT)
        if sentence is None:
            traceback.print_exception(error)
            sentence = " ".join(text.split())[:500]
        self.tell(code, sentence)
        leave(code, sentence)

    def finish(self) -> None:
        """This process has done all that the others may wait for."""
        if self.count == 1:
            return
        self._ended.set()
        self._thread.join()
        self.at("finished", self._step)
        self._publish()

    def _publish(self) -> None:
        self._client.key_value_set(f"{_BEATS}{self._own}", self._beat(), allow_overwrite=True)

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                self._publish()
                beats = self._client.key_value_dir_get(_BEATS)
                said = self._said()
            except Exception:  # jax has no error of its own
                if not self._ended.is_set():
                    leave(1, GONE)
                return
            problem = self._look({int(key.rpartition("/")[2]): beat for key, beat in beats})
            if self._ended.is_set():
                return
            if said:
                self._part(said.get("gone", 0))
                leave(said["code"], f"ended by {said['sentence']}")
            if problem:
                self.tell(1, problem, gone=1)
                leave(1, f"error: {problem}")

    def _said(self) -> dict[str, Any] | None:
        """Why another process ends, if it does within a beat."""
        try:
            return json.loads(self._client.blocking_key_value_get(_END, int(BEAT * 1000)))
        except Exception as error:
            if "DEADLINE_EXCEEDED" in str(error):
                return None
            raise

    def _beat(self) -> str:
        own = {"doing": self._doing, "step": self._step, "where": _here()}
        return json.dumps(own | {"since": time.monotonic() - self._since})

    def _look(self, beats: dict[int, str]) -> str | None:
        """What is wrong with one of the others, in a sentence."""
        now = time.monotonic()
        waits = self._doing in TOGETHER and now - self._since > self.patience
        for process, text in beats.items():
            beat = json.loads(text)
            if process == self._own or beat["doing"] == "finished":
                continue
            name = f"process {process} ({beat['where']})"
            if self._heard.get(process, ("", 0))[0] != text:
                self._heard[process] = (text, now)
            elif now - self._heard[process][1] > self.patience:
                return (
                    f"{name} has not been heard of for {self.patience:.0f} s, at step "
                    f"{beat['step']}: it was killed (for want of memory?), or its machine is gone "
                    "or stopped; see its log"
                )
            if waits and beat["doing"] not in TOGETHER and beat["since"] > self.patience:
                return (
                    f"{name} is at a standstill: {beat['doing']} of step {beat['step']} for "
                    f"{beat['since']:.0f} s, while the others wait; parallel.patience="
                    f"{self.patience:.0f} may be raised"
                )
        return None


def _here() -> str:
    return f"{platform.node()}, pid {os.getpid()}"
