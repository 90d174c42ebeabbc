"""Blocks answered in this process, on all of its devices at once."""

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import jax

from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.job import Job, Worker
from rsisrefiner_jax.refine.placing import Block

Answered = tuple[int, list[Answer]]


class _Ended(Exception):
    """Nobody waits for the answers any more."""


def answered(
    job: Job, blocks: Sequence[Block], devices: Sequence[jax.Device] | None = None
) -> Iterator[Answered]:
    """Every block's number with its answers, as they are finished.

    devices: default: all of this process. Each has a thread and a copy of the network.
    """
    devices = (devices or jax.local_devices())[: max(len(blocks), 1)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    ended = threading.Event()

    def go_on() -> None:
        if ended.is_set():
            raise _Ended

    def work(block: Block) -> Answered:
        worker = idle.get()
        try:
            return block.number, worker.answers(block, go_on)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(len(devices))
    try:
        for worker in pool.map(lambda device: Worker(job, device), devices):
            idle.put(worker)
        todo, running = iter(blocks), set[Future[Answered]]()
        while True:
            room = 2 * len(devices) - len(running)
            running |= {pool.submit(work, block) for block in itertools.islice(todo, room)}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        ended.set()  # ends within an object's time
        pool.shutdown(cancel_futures=True)
