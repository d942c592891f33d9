"""The supervisor mends what dies or hangs, renews without a gap, and leaves nothing behind."""

import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.running import supervisor as module
from gateway.running import valkey
from gateway.running.listeners import Listener, open_listeners
from gateway.running.lock import AlreadyRuns, CannotStart, hold, prepare_folder
from gateway.running.supervisor import Backoff, Helper, Supervisor
from gateway.settings import Settings

# Plays a worker: same arguments, same beat, no gateway inside. What it does stands in a file.
WORKER = """#!{python}
import argparse, os, signal, sys, time
parser = argparse.ArgumentParser()
for name in ("--listener", "--beat", "--parent"):
    parser.add_argument(name)
given, _ = parser.parse_known_args()
beat, does = int(given.beat), "{folder}/does"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    what = open(does).read()
    if what == "die":
        sys.exit(3)
    if what != "hang":
        os.write(beat, b"r")
    time.sleep(0.05)
"""


class Run:
    """A supervisor in a thread, with played workers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
        self.folder = folder
        self.does("work")
        program = folder / "worker"
        program.write_text(WORKER.format(python=sys.executable, folder=folder))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(module.sys, "executable", str(program))
        monkeypatch.setattr(module, "SILENT_SECONDS", 0.6)
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
        self.said: list[str] = []
        self.listening = listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.supervisor = Supervisor(
            listeners=[Listener(listening, ("citizen",))],
            count=count,
            environment=dict(os.environ),
            helpers=[],
            drain_seconds=1,
            run_folder=folder / "run",
            say=self.said.append,
        )
        self.thread = threading.Thread(target=self._run)

    def does(self, what: str) -> None:
        """What the workers do from now on."""
        (self.folder / "does.new").write_text(what)
        (self.folder / "does.new").replace(self.folder / "does")

    def _run(self) -> None:
        self.supervisor.start_workers()
        if self.supervisor.wait_until_serving(10):
            self.supervisor.watch()
        self.supervisor.end()

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [worker.process.pid for worker in self.supervisor.workers]

    @property
    def serving(self) -> bool:
        """Whether every worker serves."""
        return bool(self.supervisor.workers) and all(w.serving for w in self.supervisor.workers)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Two workers, serving."""
    made = Run(tmp_path, monkeypatch)
    made.thread.start()
    until(lambda: made.serving)
    yield made
    made.supervisor.asked_to_end = True
    made.thread.join(15)
    made.listening.close()
    assert not made.thread.is_alive()
    assert [pid for pid in made.pids if _lives(pid)] == []


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("id_", ["F49"], ids=["F49"])
def test_a_killed_worker_is_replaced_and_the_other_goes_on(run: Run, id_: str) -> None:
    """kill -9 of one of two: the other keeps its process, a new one serves within a moment."""
    assert id_
    first, second = run.pids
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in run.pids and run.serving)
    assert second in run.pids
    assert any("ended" in said and str(first) in said for said in run.said)


@pytest.mark.parametrize("id_", ["F53"], ids=["F53"])
def test_a_worker_whose_loop_hangs_is_replaced(run: Run, id_: str) -> None:
    """No sign of life for too long: ended and started anew."""
    assert id_
    before = run.pids
    os.kill(before[0], signal.SIGSTOP)
    until(lambda: before[0] not in run.pids and run.serving)
    assert not _lives(before[0])
    assert any("no sign of life" in said for said in run.said)


@pytest.mark.parametrize("id_", ["F50"], ids=["F50"])
def test_what_keeps_dying_is_started_less_and_less_often(run: Run, id_: str) -> None:
    """No storm of forks: the pause doubles; when it works again, all serve without a hand."""
    assert id_
    run.does("die")
    time.sleep(2.0)
    starts = sum("next start in" in said for said in run.said)
    assert 2 <= starts <= 14
    run.does("work")
    until(lambda: run.serving, 20)


@pytest.mark.row("F26")
def test_the_pause_has_a_bound_and_calms_down() -> None:
    """From a quarter of a second to half a minute, and anew after a calm minute."""
    backoff = Backoff()
    pauses = []
    now = 1000.0
    for _ in range(10):
        backoff.died(now)
        pauses.append(backoff.pause)
        now = backoff.due
    assert pauses[0] == 0.25
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0
    backoff.died(now + 100)
    assert backoff.pause == 0.25


def test_workers_are_renewed_one_after_another(run: Run) -> None:
    """SIGHUP: at every moment at least one old or new worker serves; in the end all are new."""
    before = set(run.pids)
    run.supervisor.asked_to_renew = True
    lowest = 2
    deadline = time.monotonic() + 10
    while before & set(run.pids) and time.monotonic() < deadline:
        lowest = min(lowest, sum(_lives(pid) for pid in {*before, *run.pids}))
        time.sleep(0.005)
    until(lambda: run.serving)
    assert not before & set(run.pids)
    assert lowest >= 1


def test_a_renewal_that_fails_leaves_the_old_ones(run: Run) -> None:
    """New workers that die at start replace nobody."""
    before = run.pids
    program = run.folder / "worker"
    good = program.read_text()
    program.write_text("#!/bin/false\n")
    run.supervisor.asked_to_renew = True
    until(lambda: any("go on serving" in said for said in run.said))
    assert run.pids == before
    program.write_text(good)


def test_a_helper_that_died_is_started_again(tmp_path: Path) -> None:
    """A real Valkey, killed, answers again on the same socket without a hand."""
    running = [valkey.start(tmp_path, memory_mb=16, say=lambda _: None)]

    def again() -> None:
        running[0] = valkey.start(tmp_path, memory_mb=16, say=lambda _: None)

    def alive() -> bool:
        return running[0].alive()

    def stop() -> None:
        running[0].stop()

    said: list[str] = []
    helper = Helper("Valkey", again, alive, stop)
    watch = Supervisor(
        listeners=[], count=0, environment={}, helpers=[helper], drain_seconds=1,
        run_folder=tmp_path, say=said.append,
    )  # fmt: skip
    url = running[0].url
    try:
        os.kill(running[0].pid, signal.SIGKILL)
        until(lambda: not running[0].alive())
        began = time.monotonic()
        while not (running[0].alive() and running[0].answers()):
            watch._mend(helper, time.monotonic())
            assert time.monotonic() - began < 5
            time.sleep(0.02)
        assert running[0].url == url
        assert any("runs again" in one for one in said)
    finally:
        watch.end()
    assert not running[0].alive()


# --- before anything is started


def test_a_second_start_is_one_sentence(tmp_path: Path) -> None:
    """The lock names who holds it; freed by the kernel, it is never stale."""
    prepare_folder(tmp_path / "state")
    first = hold(tmp_path / "state", "http://localhost:8080")
    with pytest.raises(AlreadyRuns) as refused:
        hold(tmp_path / "state", "http://localhost:8080")
    assert str(os.getpid()) in str(refused.value)
    assert "http://localhost:8080" in str(refused.value)
    assert "\n" not in str(refused.value)
    os.close(first)
    os.close(hold(tmp_path / "state", "http://localhost:8081"))


def test_a_port_in_use_is_one_sentence() -> None:
    """It names the address and the setting; sockets opened before it are closed again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(listen=f"127.0.0.1:0,127.0.0.1:{port}")
        with pytest.raises(CannotStart, match="in use") as refused:
            open_listeners(settings)
    assert "CITYGATE_LISTEN" in str(refused.value)
    for wrong in ("nowhere", "127.0.0.1:99999", "127.0.0.1:http"):
        with pytest.raises(CannotStart, match="host:port"):
            open_listeners(Settings(listen=wrong))


@pytest.mark.parametrize("id_", ["F62"], ids=["F62"])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, id_: str) -> None:
    """A file in its place, or a file system that is read-only."""
    assert id_
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotStart, match="CITYGATE_STATE_DIR"):
        prepare_folder(tmp_path / "file" / "state")
    with pytest.raises(CannotStart, match="CITYGATE_STATE_DIR"):
        prepare_folder(Path("/proc/citygate"))


# --- the embedded Valkey


def test_a_damaged_file_is_moved_aside_and_said_loudly(tmp_path: Path) -> None:
    """What may be lost may be lost, but the next start needs no hand."""
    said: list[str] = []
    running = valkey.start(tmp_path, memory_mb=16, say=said.append)
    running.stop()
    broken = next((tmp_path / "valkey" / "appendonlydir").glob("*.base.*"))
    broken.write_bytes(b"this is no append-only file\r\n" * 20)
    running = valkey.start(tmp_path, memory_mb=16, say=said.append)
    try:
        assert running.answers()
        assert any("DAMAGED" in one for one in said)
        assert list((tmp_path / "valkey").glob("appendonlydir.broken-*"))
    finally:
        running.stop()


def test_a_second_start_takes_the_living_server_over(tmp_path: Path) -> None:
    """Two servers never write one folder; the lock lives exactly as long as the server."""
    said: list[str] = []
    first = valkey.start(tmp_path, memory_mb=16, say=said.append)
    second = valkey.start(tmp_path, memory_mb=16, say=said.append)
    assert second.pid == first.pid
    assert any("taking it over" in one for one in said)
    second.stop()
    assert not first.alive()


def test_the_state_folders_length_does_not_matter(tmp_path: Path) -> None:
    """Unix sockets end at 107 bytes, state folders do not."""
    deep = tmp_path / ("很长的文件夹" * 8) / ("x" * 100)
    deep.mkdir(parents=True)
    running = valkey.start(deep, memory_mb=16, say=lambda _: None)
    try:
        assert running.answers()
        assert len(running.url) < 107
    finally:
        running.stop()


def test_only_its_owner_may_talk_to_it(tmp_path: Path) -> None:
    """A unix socket in a folder of mode 0700, and no port (B41)."""
    running = valkey.start(tmp_path, memory_mb=16, say=lambda _: None)
    try:
        path = Path(running.url.removeprefix("unix://"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert "port 0" in (tmp_path / "valkey" / "valkey.conf").read_text()
    finally:
        running.stop()
