"""What a plugin's code can reach from inside: nothing, as root's child and as a plain user's."""

import asyncio
import contextlib
import os
import platform
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.contract.answer import CardAnswer
from gateway.hosting.children import cage
from gateway.hosting.children import filter as calls
from gateway.hosting.children.failing import ChildFailed
from tests.gateway.hosting.children.conftest import Nursery, pool

CARD = """
from gateway.contract import CardAnswer
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

async def card(ctx, ask):
    where = ctx.settings
    {what}
    return CardAnswer(facts={{"done": True}})
"""


@dataclass
class Trap:
    """Listeners that nobody may reach."""

    folder: Path
    tcp: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    udp: socket.socket = field(default_factory=lambda: socket.socket(type=socket.SOCK_DGRAM))
    unix: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))
    abstract: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))
    reached: list[str] = field(default_factory=list)
    name: str = field(default_factory=lambda: "citygate-test-" + secrets.token_hex(8))

    def __post_init__(self) -> None:
        self.udp.bind(("127.0.0.1", 0))
        path = str(self.folder / "valkey.sock")
        self.unix.bind(path)
        self.unix.listen()
        Path(path).chmod(0o777)
        self.abstract.bind("\0" + self.name)
        self.abstract.listen()
        for name in ("tcp", "udp", "unix", "abstract"):
            threading.Thread(target=self._wait, args=(name,), daemon=True).start()

    def _wait(self, name: str) -> None:
        try:
            while True:
                sock: socket.socket = getattr(self, name)
                if name == "udp":
                    sock.recv(10)
                else:
                    sock.accept()[0].close()
                self.reached.append(name)
        except OSError:
            pass

    @property
    def settings(self) -> dict[str, object]:
        """Where they are."""
        return {
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(self.folder / "valkey.sock"),
            "abstract": self.name,
            "folder": str(self.folder),
            "parent": os.getpid(),
        }

    def close(self) -> None:
        """Stop listening."""
        for sock in (self.tcp, self.udp, self.unix, self.abstract):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """Four listeners, in a folder that everybody may enter."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/") and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o755)
    (tmp_path / "ledger.db").write_text("secret")
    (tmp_path / "ledger.db").chmod(0o666)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    made = Trap(tmp_path)
    yield made
    made.close()


ADDRESS = "socket.htons(where['tcp']).to_bytes(2, 'little') + bytes([127, 0, 0, 1]) + bytes(8)"
OUTWARD = {
    "tcp": ("socket.create_connection(('127.0.0.1', where['tcp']), 1)", {"socket"}),
    "udp": ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', where['udp']))", {"socket"}),
    "unix": ("socket.socket(socket.AF_UNIX).connect(where['unix'])", {"socket"}),
    "abstract": ("socket.socket(socket.AF_UNIX).connect(chr(0) + where['abstract'])", {"socket"}),
    "asyncio": (
        "import asyncio; await asyncio.open_connection('127.0.0.1', where['tcp'])",
        {"socket"},
    ),
    "resolver": ("socket.getaddrinfo('localhost', 80)", {"socket"}),
    "urllib": ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:%d' % where['tcp'])", {"socket", "raised"}),
    "libc": (
        (
            "fd = libc.socket(2, 1, 0); a = (2).to_bytes(2, 'little') + " + ADDRESS + "; "
            "r = libc.connect(fd, a, 16); assert r == 0, ctypes.get_errno()"
        ),
        {"forbidden"},
    ),
    "libc-unix": (
        (
            "fd = libc.socket(1, 1, 0); a = (1).to_bytes(2, 'little') + where['unix'].encode() + b'\\0'; "
            "r = libc.connect(fd, a, len(a)); assert r == 0"
        ),
        {"forbidden"},
    ),
    "own-socket": (
        "a = (2).to_bytes(2, 'little') + " + ADDRESS + "; r = libc.connect(3, a, 16); assert r == 0",
        {"forbidden"},
    ),
    "io-uring": ("r = libc.syscall(425, 8, ctypes.create_string_buffer(200)); assert r >= 0", {"raised"}),
    "fork": ("os.fork()", {"process"}),
    "fork-in-libc": ("libc.fork()", {"forbidden"}),
    "vfork": ("libc.vfork()", {"forbidden"}),
    "exec": ("os.execv('/bin/true', ['true'])", {"process"}),
    "exec-in-libc": ("libc.execve(b'/bin/true', None, None)", {"forbidden"}),
    "system": ("os.system('true')", {"process"}),
    "subprocess": ("import subprocess; subprocess.run(['true'])", {"process"}),
    "spawn": ("os.posix_spawn('/bin/true', ['true'], {})", {"process"}),
    "multiprocessing": (
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
        {"process", "raised"},
    ),
    "x32": ("libc.syscall(0x40000000 + 41, 2, 1, 0)", {"forbidden"}),
}  # fmt: skip


@pytest.mark.parametrize("way", OUTWARD)
async def test_nobody_gets_out(way: str, shared: Nursery, trap: Trap) -> None:
    """[A6] Each attempt is refused and named; the listeners have seen nobody."""
    if way == "x32" and platform.machine() != "x86_64":
        pytest.skip("x86_64 has a second table of calls")
    what, whys = OUTWARD[way]

    with pytest.raises(ChildFailed) as caught:
        await shared.card(CARD.format(what=what), settings=trap.settings)

    await asyncio.sleep(0.02)
    assert caught.value.why in whys
    assert trap.reached == []
    assert shared.whys()[-1] in whys


INWARD = {
    "passwd": "open('/etc/passwd').read()",
    "ledger": "open(where['folder'] + '/ledger.db').read()",
    "ledger-by-libc": "assert libc.open((where['folder'] + '/ledger.db').encode(), 0) >= 0",
    "listing": "os.listdir(where['folder'])",
    "root": "os.listdir('/')",
    "environment": "open('/proc/%d/environ' % where['parent']).read()",
    "own-memory": "open('/proc/self/mem', 'rb').read(1)",
    "write": "open(where['folder'] + '/open/new', 'w').write('x')",
    "append": "open(where['folder'] + '/ledger.db', 'a').write('x')",
    "create": "os.close(os.open(where['folder'] + '/open/x', os.O_CREAT | os.O_RDONLY))",
    "truncate": "os.truncate(where['folder'] + '/ledger.db', 0)",
    "truncate-by-open": "os.close(os.open(where['folder'] + '/ledger.db', os.O_RDONLY | os.O_TRUNC))",
    "truncate-the-library": "os.close(os.open(os.__file__, os.O_RDONLY | os.O_TRUNC))",
    "unlink": "os.unlink(where['folder'] + '/ledger.db')",
    "rename": "os.rename(where['folder'] + '/ledger.db', where['folder'] + '/open/x')",
    "chmod": "os.chmod(where['folder'] + '/ledger.db', 0)",
    "utime": "os.utime(where['folder'] + '/ledger.db')",
    "mkdir": "os.mkdir(where['folder'] + '/open/x')",
    "symlink": "os.symlink('/etc', where['folder'] + '/open/x')",
    "openat2": "assert libc.syscall(437, -100, b'/etc/passwd', bytes(24), 24) >= 0",
    "temporary": "import tempfile; tempfile.TemporaryFile()",
    "kill-parent": "os.kill(os.getppid(), 9)",
    "kill-worker": "os.kill(where['parent'], 9)",
    "signal-by-descriptor": "import fcntl; fcntl.fcntl(3, 8, where['parent'])",
    "limits-of-the-worker": "import resource; resource.prlimit(where['parent'], resource.RLIMIT_NOFILE, (1, 1))",
    "more-memory": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "outlive": "assert libc.prctl(1, 0, 0, 0, 0) == 0",
    "dumpable": "assert libc.prctl(4, 1, 0, 0, 0) == 0",
    "root-again": "os.setuid(0)",
    "namespace": "assert libc.unshare(0x10000000) == 0",
    "ptrace": "assert libc.ptrace(16, where['parent'], 0, 0) == 0",
    "shared-memory": "assert libc.shmget(0, 4096, 0o1666) >= 0",
    "memory-file": "assert libc.memfd_create(b'x', 0) >= 0",
    "nice": "os.setpriority(os.PRIO_PROCESS, where['parent'], 19)",
    "affinity": "os.sched_setaffinity(where['parent'], {0})",
}  # fmt: skip


@pytest.mark.parametrize("way", INWARD)
async def test_nobody_reads_writes_or_harms(way: str, shared: Nursery, trap: Trap) -> None:
    """No file, no process, no limit; what was there is as it was."""
    with pytest.raises(ChildFailed) as caught:
        await shared.card(CARD.format(what=INWARD[way]), settings=trap.settings)

    assert caught.value.why == "raised", caught.value.what
    assert (trap.folder / "ledger.db").read_text() == "secret"
    assert oct((trap.folder / "ledger.db").stat().st_mode) == "0o100666"
    assert list((trap.folder / "open").iterdir()) == []


async def test_nothing_of_ours_is_inside(shared: Nursery) -> None:
    """An empty environment, no descriptor but one, no argument that tells anything."""
    answer = await shared.card("""
        import gc, os, sys
        from gateway.contract import CardAnswer
        async def card(ctx, ask):
            open_ones = []
            for n in range(200):
                try:
                    os.fstat(n)
                except OSError:
                    continue
                open_ones.append(n)
            facts = {
                "environment": ",".join(sorted(set(os.environ) - {"LC_CTYPE"})),
                "arguments": str(sys.argv),
                "descriptors": str([n for n in open_ones if n > 3 and not os.path.exists(f"/dev/fd/{n}x")]),
                "user": str(os.getuid() == 65534 or os.getuid() == os.geteuid()),
                "loaded": ",".join(sorted({n.partition(".")[0] for n in sys.modules}
                                          & {"orjson", "structlog", "redis", "httpx", "aiohttp", "starlette"})),
            }
            return CardAnswer(facts=facts)
    """)

    assert isinstance(answer, CardAnswer)
    assert answer.facts["environment"] == ""
    assert answer.facts["arguments"] == "['-c']"
    assert answer.facts["loaded"] == ""
    # the loop's selector and its own socketpair
    assert len(str(answer.facts["descriptors"]).split(",")) == 3


async def test_a_plugin_works_as_usual_inside(shared: Nursery) -> None:
    """Dates, zones, decimals, XML, GB18030, threads, lazily imported modules: all of it works."""
    answer = await shared.card("""
        import asyncio
        from datetime import datetime
        from decimal import Decimal
        from zoneinfo import ZoneInfo
        from gateway.contract import CardAnswer

        async def card(ctx, ask):
            import xml.etree.ElementTree as tree
            when = datetime.strptime("2026-11-23 09:30", "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo("Asia/Shanghai"))
            facts = {
                "when": when.isoformat(),
                "money": int(Decimal("52340.18") * 100),
                "xml": tree.fromstring("<a><b>\\u43ee</b></a>").findtext("b"),
                "bytes": "\\u43ee".encode("gb18030").hex(),
                "thread": await asyncio.to_thread(lambda: 7),
            }
            return CardAnswer(facts=facts)
    """)

    assert isinstance(answer, CardAnswer)
    assert answer.facts == {
        "when": "2026-11-23T09:30:00+08:00",
        "money": 5234018,
        "xml": "䏮",
        "bytes": "䏮".encode("gb18030").hex(),
        "thread": 7,
    }


async def test_a_module_named_late_is_there(nursery: Nursery) -> None:
    """What a hook imports when it runs was brought before the cage closed."""
    answer = await nursery.card("""
        from gateway.contract import CardAnswer

        async def card(ctx, ask):
            import colorsys
            from wsgiref import headers
            return CardAnswer(facts={"is": headers.Headers.__name__ + colorsys.__name__})
    """)

    assert answer == CardAnswer(facts={"is": "Headerscolorsys"})


async def test_what_holds_it(shared: Nursery, request: pytest.FixtureRequest) -> None:
    """The parts of the cage are those that the machine has, and the page says so."""
    await shared.card(CARD.format(what="pass"))

    held = list(shared.children._slots.values())[-1].held
    assert held is not None
    root = request.node.callspec.params["_shared"] == "root"
    assert ("user" in held) == root
    assert {"seccomp", "landlock"} <= held
    assert cage.confined(held)
    assert shared.children.confined


async def test_each_part_alone_would_be_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the part of the cage that holds it, the same plugin gets through: the tests can fail."""
    target = tmp_path / "world-readable"
    target.write_text("x")
    for folder in (target, *list(target.parents)[:-2]):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o755)
    read = CARD.format(what="open(where['path']).read()")
    made = pool(without=("landlock",), production=False)

    assert isinstance(await made.card(read, settings={"path": str(target)}), CardAnswer)

    await made.children.close()


def test_confined_needs_filtered_calls_and_closed_files() -> None:
    """Every set of parts, and whether it is enough."""
    enough = [{"seccomp", "landlock"}, {"seccomp", "user"}, set(cage.PARTS)]
    short = [set(), {"seccomp"}, {"landlock", "user", "network"}, {"seccomp", "network"}]

    assert all(cage.confined(one) for one in enough)
    assert not any(cage.confined(one) for one in short)


def test_available_says_what_this_machine_has() -> None:
    """A subset of the four parts; on another system nothing."""
    assert cage.available() <= set(cage.PARTS)
    assert ("user" in cage.available()) == (os.getuid() == 0)


def test_other_systems_have_no_cage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked for where there is no Linux."""
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert cage.available() == frozenset()


def test_a_childs_word_about_its_cage_is_cut_down() -> None:
    """Only the four known parts, whatever it says."""
    assert cage.named_parts(["landlock", "李伟", 5]) == {"landlock"}
    assert cage.named_parts({"landlock": 1}) == frozenset()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_of_each_machine_is_sound(machine: str) -> None:
    """Every jump lands inside, the last step allows, other machines' calls end the process."""
    steps = [
        calls.struct.unpack_from("HBBI", calls.program(machine), at)
        for at in range(0, len(calls.program(machine)), 8)
    ]

    assert len(steps) < 4096
    for at, (code, yes, no, value) in enumerate(steps):
        if code & 7 == 5:
            assert at + 1 + max(yes, no) < len(steps)
        if code == 6:
            assert value in (0x80000000, 0x00050001, 0x00050026, 0x7FFF0000)
    assert steps[-1] == (6, 0, 0, 0x7FFF0000)
    assert _verdict(steps, machine, "socket") == 0x80000000
    assert _verdict(steps, machine, "chmod-at") == 0x00050001
    assert _verdict(steps, machine, "read") == 0x7FFF0000
    assert _verdict(steps, machine, "open-to-read") == 0x7FFF0000
    assert _verdict(steps, machine, "open-to-write") == 0x00050001
    assert _verdict(steps, machine, "thread") == 0x7FFF0000
    assert _verdict(steps, machine, "fork") == 0x80000000
    assert _verdict(steps, machine, "clone3") == 0x00050026
    assert _verdict(steps, "other", "read") == 0x80000000


CASES = {  # call: (x86_64, aarch64, arguments)
    "socket": (41, 198, ()),
    "chmod-at": (268, 53, ()),
    "read": (0, 63, ()),
    "open-to-read": (257, 56, (0, 0, 0o2000000)),
    "open-to-write": (257, 56, (0, 0, 0o1101)),
    "thread": (56, 220, (0x3D0F00,)),
    "fork": (56, 220, (17,)),
    "clone3": (435, 435, ()),
}
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "other": 0x40000028}


def _verdict(steps: list[tuple[int, int, int, int]], machine: str, case: str) -> int:
    """Run the filter as the kernel would."""
    numbers = CASES[case]
    words = {0: numbers[machine == "aarch64"], 4: ARCHES[machine]}
    words |= {16 + 8 * n: value for n, value in enumerate(numbers[2])}
    at, held = 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x20:
            held = words.get(value, 0)
        elif code == 0x06:
            return value
        else:
            true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += yes if true else no


def test_importable_anywhere() -> None:
    """Without Linux's own modules the package is imported and says what it cannot do."""
    code = (
        "import sys, platform; sys.modules['resource'] = None; real = sys.platform;"
        "sys.platform = 'win32'; platform.system = lambda: 'Windows';"
        "import gateway.hosting.children.cage as cage; sys.platform = real;"
        "import gateway.hosting.children.pool; print(sorted(cage.available()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "[]\n", done.stderr
