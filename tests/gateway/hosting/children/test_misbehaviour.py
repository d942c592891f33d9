"""Whatever a plugin does that no contract allows: it is named, in time, and costs its own card."""

import asyncio
import time

import pytest
import structlog

from gateway.contract.answer import CardAnswer
from gateway.contract.failure import Failure
from gateway.hosting.children.failing import ChildFailed
from tests.gateway.hosting.children.conftest import (
    NAME,
    NUMBER,
    STILL,
    USERS,
    Nursery,
    echo,
    package,
)

# fmt: off
MISBEHAVIOUR = {
    "block": ("import time\nasync def card(c, a): time.sleep(60)", "blocked"),
    "loop": ("async def card(c, a):\n    while True: pass", "blocked"),
    "loop-in-c": ("import re\nasync def card(c, a): re.match('(a*)*b', 'a' * 60)", "blocked"),
    "swallows-cancel": (
        (
            "import asyncio\nasync def card(c, a):\n    while True:\n        try: await asyncio.sleep(9)\n"
            "        except asyncio.CancelledError: pass"
        ),
        "blocked",
    ),
    "waits": ("import asyncio\nasync def card(c, a): await asyncio.sleep(60)", "late"),
    "raises": ("async def card(c, a): raise ValueError(a.claims)", "raised"),
    "raises-its-own": ("class E(BaseException): pass\nasync def card(c, a): raise E", "raised"),
    "raises-keyboard": ("async def card(c, a): raise KeyboardInterrupt", "raised"),
    "recursion": ("def f(): f()\nasync def card(c, a): f()", "raised"),
    "wrong-type": ("async def card(c, a): return {'facts': {}}", "wrong_answer"),
    "none": ("async def card(c, a): pass", "wrong_answer"),
    "unchecked": (
        (
            "from gateway.contract import CardAnswer\n"
            "async def card(c, a): return CardAnswer.model_construct(facts={'a': [1]}, items=5)"
        ),
        "wrong_answer",
    ),
    "nan": (
        (
            "from gateway.contract import CardAnswer\n"
            "async def card(c, a): return CardAnswer(facts={'a': float('nan')})"
        ),
        "wrong_answer",
    ),
    "huge": (
        (
            "from gateway.contract import CardAnswer\n"
            "async def card(c, a): return CardAnswer.model_construct(facts={'a': 'x' * (2 << 20)})"
        ),
        "wrong_answer",
    ),
    "memory": ("async def card(c, a): return bytearray(1 << 30)", "memory"),
    "memory-in-pieces": ("async def card(c, a):\n    x = []\n    while True: x.append(bytes(1 << 20))", "memory"),
    "segfault": ("import ctypes\nasync def card(c, a): ctypes.string_at(0)", "crashed"),
    "abort": ("import os\nasync def card(c, a): os.abort()", "crashed"),
    "exit": ("import sys\nasync def card(c, a): sys.exit(3)", "exited"),
    "exit-in-task": (
        (
            "import asyncio, sys\nasync def f(): sys.exit(0)\n"
            "async def card(c, a): await asyncio.create_task(f())"
        ),
        "exited",
    ),
    "hard-exit": ("import os\nasync def card(c, a): os._exit(0)", "exited"),
    "exit-at-import": ("import sys\nsys.exit(0)", "exited"),
    "hard-exit-at-import": ("import os\nos._exit(0)", "exited"),
    "error-at-import": ("1 / 0", "unloadable"),
    "no-module": ("import httpx_of_nobody", "unloadable"),
    "syntax": ("async def card(c, a) return 1", "unloadable"),
    "null-bytes": ("x = 1\0", "unloadable"),
    "nested": ("x = " + "(" * 5000 + ")" * 5000, "unloadable"),
    "no-hook": ("x = 1", "unloadable"),
    "plain-hook": ("def card(c, a): return 1", "unloadable"),
    "open-fails": ("async def open(c): raise OSError\nasync def card(c, a): pass", "raised"),
    "open-gives-up": (
        (
            "from gateway.contract import CallOwner\nasync def open(c): raise CallOwner('no')\n"
            "async def card(c, a): pass"
        ),
        "unloadable",
    ),
    "prints": ("async def card(c, a): print(a.claims)", "printed"),
    "prints-to-stderr": ("import sys\nasync def card(c, a): sys.stderr.write('x')", "printed"),
    "prints-at-import": ("print('hello')\nasync def card(c, a): pass", "printed"),
    "logs": ("import logging\nasync def card(c, a): logging.warning('%s', a.claims)", "printed"),
    "closes-its-socket": ("import os\nasync def card(c, a): os.close(3)", "frames"),
    "garbage": ("import os\nasync def card(c, a): os.write(3, b'GET / HTTP/1.1')", "frames"),
    "not-json": ("import os\nasync def card(c, a): os.write(3, b'\\0\\0\\0\\1x')", "frames"),
    "long-frame": ("import os\nasync def card(c, a): os.write(3, b'\\xff' * 4 + b'x')", "frames"),
    "no-frame": ("import os\nasync def card(c, a): os.write(3, b'\\0\\0\\0\\2[]')", "frames"),
    "flood": (
        (
            "import os\nasync def card(c, a):\n    os.set_blocking(3, True)\n    while True:\n"
            "        b = b'{\"is\":\"CardAnswer\",\"id\":99}'\n"
            "        os.write(3, len(b).to_bytes(4, 'big') + b)"
        ),
        "frames",
    ),
    "forged-bug": (
        (
            "import os, json\nasync def card(c, a):\n"
            "    b = json.dumps({'is': 'bug', 'id': 2, 'why': a.claims['name'], 'printed': 0}).encode()\n"
            "    os.write(3, len(b).to_bytes(4, 'big') + b)"
        ),
        "frames",
    ),
    "many-requests": (
        (
            "import asyncio\nfrom gateway.contract import Asked, CardAnswer\n"
            "async def card(c, a):\n    for n in range(99): await c.http.send(Asked('GET', '/x'))"
        ),
        "CallOwner",
    ),
    "bad-request": (
        "from gateway.contract import Asked\nasync def card(c, a): await c.http.send(Asked('GET', 7))",
        "CallOwner",
    ),
    "no-request": ("async def card(c, a): await c.http.send({'path': '/'})", "raised"),
}
# fmt: on


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
@pytest.mark.parametrize("_shared", USERS[:1], indirect=True)
async def test_misbehaviour_is_named_and_costs_its_own_card(
    kind: str, shared: Nursery, capfd: pytest.CaptureFixture[str]
) -> None:
    """[A6] Named in log and report, in time; a neighbour answers meanwhile, the loop never stands."""
    source, why = MISBEHAVIOUR[kind]
    bad = package(source, "bad")
    await shared.card(STILL)
    gaps = asyncio.create_task(_longest_gap())
    begun = time.monotonic()

    with structlog.testing.capture_logs() as lines, pytest.raises((ChildFailed, Failure)) as caught:
        await shared.card(bad, seconds=0.8, broker=echo)
    took = time.monotonic() - begun
    neighbour = await shared.card(STILL, name="王芳")
    gaps.cancel()

    assert took < 2.0
    assert neighbour == CardAnswer(facts={"of": "王芳"})
    assert await gaps < 0.4
    if isinstance(caught.value, ChildFailed):
        assert caught.value.why == why
        assert ("bad", "plugin", caught.value.what) in shared.reports
        assert [line["why"] for line in lines if line["event"] == "children.failed"] == [why]
    else:
        assert type(caught.value).__name__ == why
    said = f"{shared.reports} {lines} {caught.value} {capfd.readouterr()}"
    assert NAME not in said
    assert NUMBER not in said


async def _longest_gap() -> float:
    """How long the loop stood still at most, until cancelled."""
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest
