"""The gateway as it is installed, one worker, with twenty departments; and its peers beside it."""

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from gateway.running.sockets import socket_folder
from tests.city import ROOT, free_port
from tests.street import Plugin, Street, street, text

COUNT: Final = 20
ENDS: Final = 30.0  # seconds that a process gets to answer or to end
FACTS: Final = (("value", "账户余额", "money"), ("due", "下次缴存日", "date"),
                ("owed", "欠缴金额", "money"), ("place", "经办网点", "text"))  # fmt: skip
RECIPE: Final[dict[str, Any]] = {
    "cards": {"main": {"facts": {name: f"data.{name}" for name, _, _ in FACTS}}}
}
MANIFEST: Final[dict[str, Any]] = {
    "cards": [
        {
            "id": "main",
            "template": "figure",
            "facts": [
                {"id": name, "label": text(label, name), "kind": kind, "optional": True}
                for name, label, kind in FACTS
            ],
            "speak": text("您的账户余额{value}，下次缴存日{due}。", "Balance {value}, next {due}."),
            "empty": text("没有记录。", "No record."),
            "keep": "7d",
        }
    ],
    "data": [
        {
            "id": "name",
            "claim": "name",
            "label": text("姓名", "Name"),
            "purpose": text("查找账户", "Find the account"),
            "keep": "30d",
        }
    ],
}
# Rules of time, place and host on some, so that gate states are really decided.
RULES: Final[dict[int, dict[str, Any]]] = {
    3: {"region": ["000102", "000121"]},
    7: {"min_host": "6.2.0"},
    11: {"maintenance": [{"start": "2040-01-01T00:00:00+08:00", "end": "2040-01-01T06:00:00+08:00"}]},
    15: {"min_host": "7.0", "region": ["000121"]},
}  # fmt: skip


def plugins(ports: Sequence[int]) -> list[Plugin]:
    """Twenty plugins; every second one asks for consent."""
    return [
        Plugin(
            f"s{number:02d}",
            port,
            recipe=RECIPE,
            manifest=MANIFEST,
            service={"data": ["name"]} if number % 2 else {},
            entry=RULES.get(number, {}),
        )
        for number, port in enumerate(ports)
    ]


@contextlib.contextmanager
def office(silent: int) -> Iterator[list[int]]:
    """Twenty departments in a process; their ports."""
    command = [sys.executable, "-m", "benchmarks.office", str(COUNT), str(silent)]
    with ended(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)) as process:
        pin(process.pid, last=True)
        assert process.stdout is not None
        yield orjson.loads(process.stdout.readline())


@contextlib.contextmanager
def ended(process: "subprocess.Popen[bytes]") -> "Iterator[subprocess.Popen[bytes]]":
    """A process for the length of a block."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pin(pid: int, *, last: bool) -> None:
    """Keep a process on one core: what is measured on the first, all else on the last."""
    cores = sorted(os.sched_getaffinity(0))
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(task.name), {cores[-1] if last else cores[0]})


def cpu(*pids: int) -> float:
    """Seconds of CPU that processes have used, their own threads only."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class House:
    """What runs while something is measured."""

    street: Street
    folder: Path
    ports: list[int]
    services: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The gateway's own name and port."""
        return self.street.gateway.removeprefix("http://")

    @property
    def valkey(self) -> str:
        """The socket of its Valkey."""
        return str(socket_folder(self.street.state) / "valkey.sock")

    @property
    def worker(self) -> int:
        """The worker's process."""
        (pid,) = self.street.workers
        return pid

    @property
    def valkey_pid(self) -> int:
        """The process of Valkey."""
        return next(pid for pid, name in self.street.below().items() if name.startswith("valkey"))


@contextlib.contextmanager
def house(folder: Path, *, silent: int, memory_mb: int) -> Iterator[House]:
    """The gateway in profile test with a worker, Valkey, SQLite and departments."""
    with (
        office(silent) as ports,
        street(
            folder / "gateway",
            plugins(ports),
            CITYGATE_WORKERS="1",
            CITYGATE_VALKEY_MEMORY_MB=str(memory_mb),
        ) as made,
    ):
        one = House(made, folder, ports, [plugin.id for plugin in made.plugins])
        pin(one.worker, last=False)
        pin(one.valkey_pid, last=True)
        yield one


@contextlib.contextmanager
def plain(one: House) -> Iterator[tuple[int, int]]:
    """The plain program over the same Valkey and departments: port, pid."""
    port = free_port()
    setup = {
        "valkey": one.valkey,
        "services": one.services,
        "departments": {
            service: f"http://127.0.0.1:{at}/ask"
            for service, at in zip(one.services, one.ports, strict=True)
        },
    }
    environment = {**os.environ, "PLAIN": orjson.dumps(setup).decode()}
    command = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.plain:app", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]
    with (one.folder / "plain.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log)
        with ended(process):
            answers(port, "/api/v1/cards")
            pin(process.pid, last=False)
            yield port, process.pid


@contextlib.contextmanager
def nginx(one: House, body: bytes) -> Iterator[tuple[int, int]]:
    """The same bytes from a file by nginx: port, pid of its worker."""
    port, folder = free_port(), one.folder / "nginx"
    (folder / "api/v1").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "api/v1/cards").write_bytes(body)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;\n"
        "events { worker_connections 256; }\n"
        f"http {{ access_log off; default_type application/json; sendfile on;\n"
        f"client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n"
        f"uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n"
        f"keepalive_requests 1000000000; open_file_cache max=10;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n",
        "utf-8",
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)) as process:
        answers(port, "/api/v1/cards")
        pin(process.pid, last=False)
        yield port, process.pid


def answers(port: int, path: str) -> None:
    """Wait until something answers there."""
    deadline = time.monotonic() + ENDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            return
        assert time.monotonic() < deadline, f"nothing answers on port {port}"
        time.sleep(0.05)


def many_files() -> None:
    """Allow for as many connections as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
