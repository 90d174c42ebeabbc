"""What ends a run, and how several processes learn of it."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rsisrefiner_jax.cluster import joining, leaving, peers, stopping
from rsisrefiner_jax.cluster.coordinator import GONE
from rsisrefiner_jax.cluster.lock import locked
from rsisrefiner_jax.cluster.peers import Peers
from rsisrefiner_jax.cluster.stopping import stop_request
from rsisrefiner_jax.errors import UserError

EXAMPLES = Path(__file__).parent.parent / "examples" / "cluster"
# Threads that would end the process end alone here, by SystemExit (`left`).
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def left(monkeypatch):
    """What a process would have left with: [(code, sentence)]; its thread ends there instead."""
    said: list[tuple[int, str]] = []

    def leave(code, sentence):
        said.append((code, sentence))
        raise SystemExit

    monkeypatch.setattr(stopping, "leave", leave)
    monkeypatch.setattr(peers, "leave", leave)
    return said


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGHUP, 75), (signal.SIGINT, 130)],
)
def test_a_signal_asks_for_an_end_after_the_step(number, code, capfd):
    before = signal.signal(number, signal.default_int_handler)  # a job in the background ignores it
    with stop_request() as request:
        request.begin_loop(3)
        assert not request.asked(4)
        os.kill(os.getpid(), number)
        wait_for(lambda: request.asked(4))
        assert request.code == code
    assert f"{number.name}: stopping after this step" in capfd.readouterr().err
    assert signal.signal(number, before) is signal.default_int_handler


def test_before_the_first_step_the_process_leaves(left):
    told = []
    with stop_request() as request:
        request.tell = lambda code, sentence: told.append(code)
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: left)
    ((code, sentence),) = left
    assert (code, told) == (75, [75])
    assert "stopped by SIGTERM before the first step" in sentence


def test_patience_with_a_step_has_an_end(left, monkeypatch):
    monkeypatch.setattr(stopping, "GRACE", 0.05)
    with stop_request() as request:
        request.begin_loop(8)
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: left)
    assert left[0][0] == 75
    assert "step 8 is saved" in left[0][1]


def test_several_processes_are_told_and_have_as_long(left, monkeypatch):
    told, others = [], []
    monkeypatch.setattr(stopping, "GRACE", 0.05)
    monkeypatch.setattr(stopping.jax, "process_count", lambda: 2)
    monkeypatch.setattr(stopping, "_preemption", lambda: told.append)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    with stop_request() as request:
        request.tell = lambda code, sentence: others.append((code, sentence))
        request.begin_loop(0)
        os.kill(os.getpid(), signal.SIGHUP)
        wait_for(lambda: left)
    signal.signal(signal.SIGHUP, before)
    assert told == [signal.SIGTERM]  # all that jax's service knows
    assert left == others
    assert left[0][0] == 75
    assert "SIGHUP: not ended within 0 s; no step was saved yet" in left[0][1]


def test_an_early_notice_leaves_time_until_sigterm(left, monkeypatch):
    monkeypatch.setattr(stopping, "GRACE", 0.0)
    with stop_request() as request:
        request.begin_loop(8)
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_for(lambda: request.asked(9))
        time.sleep(0.2)
        assert not left
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: left)
    assert left[0][0] == 75


def test_the_c_function_that_handles_a_signal_can_be_called():
    before = signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    try:
        stopping._c_handler(signal.SIGUSR2)(signal.SIGUSR2)  # nothing there, nothing done
        got = []
        signal.signal(signal.SIGUSR2, lambda number, _: got.append(number))
        stopping._c_handler(signal.SIGUSR2)(signal.SIGUSR2)
        wait_for(lambda: got)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_request() as request:
            request.begin_loop(0)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request.asked(1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_leaving_takes_the_data_workers_along():
    code = (
        "import multiprocessing, time\n"
        "from rsisrefiner_jax.cluster.leaving import leave\n"
        "child = multiprocessing.Process(target=time.sleep, args=(99,))\n"
        "child.start()\n"
        "print(child.pid, flush=True)\n"
        "leave(75, 'stopped')"
    )
    done = subprocess.run(
        [os.sys.executable, "-c", code], cwd=EXAMPLES.parent.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (75, "stopped")
    wait_for(lambda: not Path(f"/proc/{int(done.stdout)}").exists())
    assert leaving  # the module under test


class Service:
    """jax's key-value service, as far as `Peers` uses it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.gone = False

    def key_value_set(self, key, value, allow_overwrite=False):
        if key in self.values and not allow_overwrite:
            raise RuntimeError("ALREADY_EXISTS")
        self.values[key] = value

    def key_value_dir_get(self, prefix):
        return [(k, v) for k, v in self.values.items() if k.startswith(prefix)]

    def blocking_key_value_get(self, key, timeout_in_ms):
        if self.gone:
            raise RuntimeError("UNAVAILABLE: failed to connect to all addresses")
        if key not in self.values:
            time.sleep(0.01)
            raise RuntimeError("DEADLINE_EXCEEDED")
        return self.values[key]


@pytest.fixture
def one_of_two(monkeypatch):
    """(process 0 of two, with a patience of 0.3 s, and the service between them)."""
    service = Service()
    monkeypatch.setattr(peers.jax, "process_count", lambda: 2)
    monkeypatch.setattr(peers.distributed.global_state, "client", service)
    monkeypatch.setattr(peers, "BEAT", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    watching = Peers(0.3)
    yield watching, service
    watching._ended.set()


def beat(service, doing, step, since=0.0, number=0):
    text = {"doing": doing, "step": step, "where": "node7, pid 9", "since": since, "n": number}
    service.key_value_set(f"{peers._BEATS}1", json.dumps(text), allow_overwrite=True)


def test_a_silent_process_is_named(one_of_two, left):
    _, service = one_of_two
    beat(service, "computing", 12)
    wait_for(lambda: left)
    code, sentence = left[0]
    assert code == 1
    assert "process 1 (node7, pid 9) has not been heard of" in sentence
    assert "at step 12" in sentence
    assert "process 1" in json.loads(service.values[peers._END])["sentence"]  # for the others


def test_a_process_at_a_standstill_is_named(one_of_two, left):
    watching, service = one_of_two
    watching.at("computing", 5)
    end = time.monotonic() + 0.2
    number = 0
    while time.monotonic() < end:  # both wait for each other as long as nobody is late
        beat(service, "reading the data", 5, since=9.0, number=(number := number + 1))
        time.sleep(0.01)
    assert not left
    while not left:
        beat(service, "reading the data", 5, since=9.0, number=(number := number + 1))
        time.sleep(0.01)
    assert "process 1 (node7, pid 9) is at a standstill: reading the data of step 5" in left[0][1]


def test_the_reason_of_another_process_is_passed_on(one_of_two, left):
    _, service = one_of_two
    end = {"code": 2, "sentence": "process 1 (node7): error: the disk is full"}
    service.key_value_set(peers._END, json.dumps(end))
    wait_for(lambda: left)
    assert left == [(2, "ended by process 1 (node7): error: the disk is full")]


def test_the_coordinator_leaves_last(one_of_two, left, monkeypatch):
    watching, service = one_of_two
    watching.count = 3
    monkeypatch.setattr(peers, "BEAT", 1.0)
    service.key_value_set(f"{peers._LEFT}1", "")
    service.key_value_set(peers._END, json.dumps({"code": 75, "sentence": "process 1: stopped"}))
    wait_for(lambda: f"{peers._LEFT}0" in service.values)
    time.sleep(0.3)
    assert not left  # process 2 does not know yet; without the service it would be aborted
    service.key_value_set(f"{peers._LEFT}2", "")
    wait_for(lambda: left)
    assert left == [(75, "ended by process 1: stopped")]


def test_the_coordinator_is_missed(one_of_two, left):
    _, service = one_of_two
    service.gone = True
    wait_for(lambda: left)
    assert left == [(1, GONE)]


JOINED = """
import sys, time
import jax
from rsisrefiner_jax.cluster.coordinator import explain_aborts
jax.config.update("jax_enable_preemption_service", False)
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
explain_aborts()
print("joined", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize(
    ("killed", "number", "code", "sentence"),
    [(0, signal.SIGKILL, 1, True), (1, signal.SIGABRT, -signal.SIGABRT, False)],
)
def test_an_abort_says_whether_the_coordinator_is_gone(killed, number, code, sentence):
    """jax aborts process 1 once process 0 is killed; an abort for another reason stays one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", JOINED, address, str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "joined\n"
        processes[killed].send_signal(number)
        errors = processes[1].communicate(timeout=60)[1]
        assert processes[1].returncode == code
        assert (GONE in errors) == sentence
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_an_error_of_this_process_ends_the_others(one_of_two, left):
    watching, service = one_of_two
    with pytest.raises(SystemExit):
        watching.leave(UserError("no space"))
    assert left == [(2, "error: no space")]
    assert json.loads(service.values[peers._END])["sentence"].endswith("error: no space")


def test_one_run_at_a_time_writes_to_a_directory(tmp_path):
    refused = f"another run writes there .*process {os.getpid()}"
    with locked(tmp_path), pytest.raises(UserError, match=refused), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    joining.add_flags(parser)
    return parser.parse_args(words)


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, of which none is set before."""
    for name in ("JAX_COORDINATOR_ADDRESS", *joining._COUNT, *joining._INDEX):
        monkeypatch.delenv(name, raising=False)
    return lambda **variables: [monkeypatch.setenv(k, v) for k, v in variables.items()]


def test_how_processes_are_told_of_each_other(environment):
    assert joining._wanted(arguments()) == (None, None, None)
    flags = ("--coordinator", "a:1", "--processes", "2", "--process", "1")
    assert joining._wanted(arguments(*flags)) == ("a:1", 2, 1)
    environment(OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="3")  # Open MPI 5
    assert joining._wanted(arguments("--coordinator", "a:1")) == ("a:1", 4, 3)
    environment(JAX_COORDINATOR_ADDRESS="b:2", JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="0")
    assert joining._wanted(None) == ("b:2", 2, 0)


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--processes", "2"), "need --coordinator"),
        (("--coordinator", "a:1", "--processes", "2", "--process", "2"), "not one of the 2"),
    ],
)
def test_flags_that_cannot_be_meant(environment, flags, part):
    with pytest.raises(UserError, match=part):
        joining._wanted(arguments(*flags))


def test_processes_that_nobody_brings_together_are_refused(environment):
    environment(OMPI_COMM_WORLD_SIZE="2")
    with pytest.raises(UserError, match=r"2 processes were started, .* pass --coordinator"):
        joining._require_not_started(None, ValueError("coordinator_address"))
    environment(OMPI_COMM_WORLD_SIZE="1")
    joining._require_not_started(None, ValueError("coordinator_address"))


@pytest.mark.parametrize("name", ["slurm.sbatch", "mpirun.sh", "tpu_pod.sh"])
def test_examples_are_shell_scripts(name):
    subprocess.run(["bash", "-n", EXAMPLES / name], check=True)


def test_the_tpu_example_says_one_command_to_all_hosts():
    done = subprocess.run(
        [EXAMPLES / "tpu_pod.sh", "pod", "zone", "--set", "data.train=[a b]"],
        env=os.environ | {"DRY_RUN": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ssh pod --zone zone --worker=all" in done.stdout
    assert r"train.py --set data.train=\[a\ b\]" in done.stdout


def test_the_jobset_starts_as_many_processes_as_it_says():
    text = (EXAMPLES / "jobset.yaml").read_text()
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load(text)["spec"]["replicatedJobs"][0]["template"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert int(variables["JAX_NUM_PROCESSES"]) == job["parallelism"] == job["completions"]
    assert variables["JAX_COORDINATOR_ADDRESS"].startswith("rsisrefiner-train-0-0.rsisrefiner:")
    assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [75]
