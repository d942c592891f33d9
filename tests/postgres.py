"""A PostgreSQL server of our own for tests: pgserver's binaries, as root too.

PostgreSQL refuses to run as root, so then it runs as `nobody`, with its data in the temporary folder
and its programs copied there if their own place is closed to others.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_OPTIONS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # containers have a /dev/shm of a few megabytes
    "max_connections": "60",
    "fsync": "off",  # the tests kill processes, not the machine
    "unix_socket_permissions": "0777",
}


@dataclass
class Postgres:
    """A running server; `database` makes a fresh one in it."""

    folder: Path
    bin: Path
    process: subprocess.Popen[bytes]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"t{os.getpid()}_{next(self.numbers)}"
        self.psql(f'CREATE DATABASE "{name}"')
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the superuser."""
        command = [self.bin / "psql", "-qAt", "-h", self.folder, "-U", "postgres", "-d", database]
        done = subprocess.run(
            [*command, "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True, check=True, text=True, **_user(),
        )  # fmt: skip
        return done.stdout.strip()

    def kill(self) -> None:
        """End it as a power cut does; `again` starts it anew."""
        for pid in (self.process.pid, *_children(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def again(self) -> None:
        """Start it again after `kill`."""
        self.process = _launch(self.bin, self.folder)

    def stop(self) -> None:
        """End it and remove what it kept."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # fast: clients are cut off
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found


def start() -> Postgres:
    """Make a cluster and start it."""
    folder = Path(tempfile.mkdtemp(prefix="citygate-pg-"))
    programs = _programs(folder)
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
    folder.chmod(0o755)
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust",
         "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
        check=True, capture_output=True, cwd=folder, **_user(),
    )  # fmt: skip
    return Postgres(folder, programs, _launch(programs, folder))


def _launch(programs: Path, folder: Path) -> subprocess.Popen[bytes]:
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, **_user(),
        )  # fmt: skip
    ready = [programs / "pg_isready", "-q", "-h", folder, "-U", "postgres"]
    deadline = time.monotonic() + 30
    while subprocess.run(ready, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError((folder / "log").read_text()[-2000:])
        time.sleep(0.05)
    return process


def _user() -> dict[str, Any]:
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


def _programs(folder: Path) -> Path:
    """Where the programs are, readable by whoever runs them."""
    spec = find_spec("pgserver")  # not imported: it warns and makes a user
    assert spec is not None
    assert spec.origin is not None
    there = Path(spec.origin).parent / "pginstall"
    probe = subprocess.run([there / "bin" / "postgres", "-V"], check=False, capture_output=True,
                           **_user()) if _readable(there) else None  # fmt: skip
    if probe is not None and probe.returncode == 0:
        return there / "bin"
    shutil.copytree(there, folder / "pginstall")
    return folder / "pginstall" / "bin"


def _readable(path: Path) -> bool:
    return os.getuid() != 0 or all(part.stat().st_mode & 0o005 == 0o005 for part in path.parents)
