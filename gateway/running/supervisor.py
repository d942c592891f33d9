"""The supervisor: holds the lock, starts Valkey, city and workers, and mends what dies.

A plain process without event loop or web imports, so that it starts at once and cannot be hurt by
what its workers do. Everything it starts dies with it. Order of ending: workers (they close their
listeners first and drain), city, Valkey.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from gateway.running.listeners import Listener

START_SECONDS: Final = 60.0  # a worker that does not serve by then is replaced
SILENT_SECONDS: Final = 15.0  # a serving worker whose loop gives no sign of life is replaced
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 30.0
CALM_SECONDS: Final = 60.0  # after this long without a death the pause starts anew

Say = Callable[[str], None]


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next start of something that keeps dying."""

    pause: float = FIRST_PAUSE
    last: float = 0.0
    due: float = 0.0

    def died(self, now: float) -> None:
        """Note a death and when the next start is due."""
        self.pause = (
            FIRST_PAUSE if now - self.last > CALM_SECONDS else min(self.pause * 2, LONGEST_PAUSE)
        )
        self.last = now
        self.due = now + self.pause


@dataclass(slots=True)
class Worker:
    """One worker process and its sign of life."""

    process: subprocess.Popen[bytes]
    beat: int
    started: float
    heard: float
    serving: bool = False
    leaving: bool = False


@dataclass(slots=True)
class Helper:
    """Something beside the workers that must live: the embedded Valkey, the simulated city."""

    name: str
    start: Callable[[], object]
    alive: Callable[[], bool]
    stop: Callable[[], None]
    backoff: Backoff = field(default_factory=Backoff)
    down: bool = False


class Supervisor:
    """Keeps `count` workers serving on `listeners` until told to end."""

    def __init__(
        self,
        *,
        listeners: list[Listener],
        count: int,
        environment: dict[str, str],
        helpers: list[Helper],
        drain_seconds: float,
        run_folder: Path,
        say: Say,
    ) -> None:
        self.listeners = listeners
        self.count = count
        self.environment = environment
        self.helpers = helpers
        self.drain_seconds = drain_seconds
        self.run_folder = run_folder
        self.say = say
        self.workers: list[Worker] = []
        self.backoff = Backoff()
        self.asked_to_end = False
        self.asked_to_renew = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    # --- life -----------------------------------------------------------------------------------

    def start_workers(self) -> None:
        """Start all workers; do not wait for them."""
        self.workers = [self._spawn() for _ in range(self.count)]

    def wait_until_serving(self, seconds: float) -> bool:
        """Wait for the first worker to serve; False when none did in time or all died."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.asked_to_end:
            self._listen(0.05)
            if any(worker.serving for worker in self.workers):
                return True
            if all(worker.process.poll() is not None for worker in self.workers):
                return False
        return False

    def watch(self) -> None:
        """Mend what dies until SIGTERM or SIGINT; SIGHUP renews the workers one after another."""
        while not self.asked_to_end:
            self._listen(0.25)
            now = time.monotonic()
            self._mend_workers(now)
            for helper in self.helpers:
                self._mend(helper, now)
            if self.asked_to_renew:
                self.asked_to_renew = False
                self._renew()

    def end(self) -> None:
        """End workers, then helpers in reverse order of their start."""
        for worker in self.workers:
            _signal(worker.process, signal.SIGTERM)
        deadline = time.monotonic() + self.drain_seconds + 5
        for worker in self.workers:
            self._reap(worker, deadline)
        for helper in reversed(self.helpers):
            helper.stop()

    def install_signals(self) -> None:
        """Hear TERM, INT and HUP; nothing is done inside the handlers."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._end_soon)
        signal.signal(signal.SIGINT, self._end_soon)
        signal.signal(signal.SIGHUP, self._renew_soon)

    def _end_soon(self, *_: object) -> None:
        self.asked_to_end = True

    def _renew_soon(self, *_: object) -> None:
        self.asked_to_renew = True

    # --- workers --------------------------------------------------------------------------------

    def _spawn(self) -> Worker:
        read, write = os.pipe()
        os.set_inheritable(write, True)
        descriptors = [listener.socket.fileno() for listener in self.listeners]
        command = [sys.executable, "-m", "gateway", "worker", "--parent", str(os.getpid())]
        command += ["--beat", str(write)]
        for listener, descriptor in zip(self.listeners, descriptors, strict=True):
            command += ["--listener", f"{descriptor}:{','.join(listener.zones)}"]
        process = subprocess.Popen(
            command,
            pass_fds=(*descriptors, write),
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )
        os.close(write)
        os.set_blocking(read, False)
        now = time.monotonic()
        return Worker(process, read, started=now, heard=now)

    def _listen(self, seconds: float) -> None:
        pipes = {worker.beat: worker for worker in self.workers}
        ready, _, _ = select.select([*pipes, self._wake_read], [], [], seconds)
        for descriptor in ready:
            try:
                heard = os.read(descriptor, 4096)
            except BlockingIOError:
                continue
            worker = pipes.get(descriptor)
            if worker is None:
                continue
            if not heard:
                time.sleep(0.01)  # closed by a dying worker: poll() will tell in a moment
                continue
            worker.heard = time.monotonic()
            if b"r" in heard and not worker.serving:
                worker.serving = True
                self._write_workers()

    def _mend_workers(self, now: float) -> None:
        for index, worker in enumerate(self.workers):
            gone = worker.process.poll() is not None
            if not gone and self._hangs(worker, now):
                self.say(f"worker {worker.process.pid} gives no sign of life: replaced")
                worker.process.kill()
                worker.process.wait()
                gone = True
            if not gone:
                continue
            if not worker.leaving:
                worker.leaving = True
                self.backoff.died(now)
                self.say(
                    f"worker {worker.process.pid} ended ({worker.process.returncode}); "
                    f"next start in {self.backoff.pause:.2g} s"
                )
            if now >= self.backoff.due:
                os.close(worker.beat)
                self.workers[index] = self._spawn()
                self._write_workers()

    def _hangs(self, worker: Worker, now: float) -> bool:
        if worker.serving:
            return now - worker.heard > SILENT_SECONDS
        return now - worker.started > START_SECONDS

    def _renew(self) -> None:
        for index, old in enumerate(list(self.workers)):
            fresh = self._spawn()
            self.workers.append(fresh)
            deadline = time.monotonic() + START_SECONDS
            while not fresh.serving and time.monotonic() < deadline and not self.asked_to_end:
                self._listen(0.1)
                if fresh.process.poll() is not None:
                    break
            self.workers.remove(fresh)
            if not fresh.serving:
                self.say("the new worker did not start: the old ones go on serving")
                _signal(fresh.process, signal.SIGKILL)
                fresh.process.wait()
                os.close(fresh.beat)
                return
            self.workers[index] = fresh
            _signal(old.process, signal.SIGTERM)
            self._reap(old, time.monotonic() + self.drain_seconds + 5)
        self._write_workers()

    def _reap(self, worker: Worker, deadline: float) -> None:
        try:
            worker.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        os.close(worker.beat)

    def _write_workers(self) -> None:
        """Leave the pids where tests and `doctor` find them."""
        self.run_folder.mkdir(parents=True, exist_ok=True)
        path = self.run_folder / "workers.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps([worker.process.pid for worker in self.workers]))
        fresh.replace(path)

    # --- helpers --------------------------------------------------------------------------------

    def _mend(self, helper: Helper, now: float) -> None:
        if helper.alive():
            helper.down = False
            return
        if not helper.down:
            helper.down = True
            helper.backoff.died(now)
            self.say(f"{helper.name} ended; next start in {helper.backoff.pause:.2g} s")
        if now >= helper.backoff.due:
            try:
                helper.start()
                helper.down = False
                self.say(f"{helper.name} runs again")
            except (OSError, RuntimeError) as error:
                helper.backoff.died(now)
                self.say(f"{helper.name} does not start: {error}")


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
