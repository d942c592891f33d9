"""Roles for the staff of the simulated city, once: what a maintainer does with `citygate staff add`.

Without them nobody could open the consoles of a demo. A role taken away later stays away: the list
is gone through again only when it changed, or when the ledger is a new one.
"""

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from gateway.running.processes import die_with
from gateway.settings import Settings

_UPSTREAM: Final = "anlan"
_SECONDS: Final = 30.0


class Appointing:
    """A child process that gives the roles while workers start; nothing where all is done."""

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        people = settings.state_dir.resolve() / "city" / "people.json"
        self._mark = settings.state_dir / "appointed"
        self._digest = hashlib.sha256(people.read_bytes()).hexdigest()
        self._child: subprocess.Popen[bytes] | None = None
        if _new_ledger(settings) or not self._done():
            command = [sys.executable, "-m", "gateway", "appoint", str(people), str(os.getpid())]
            self._child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def finish(self) -> bool:
        """Wait for it; False: not all roles were given, and the next start tries again."""
        if self._child is None:
            return True
        try:
            code = self._child.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        if code == 0:
            self._mark.write_text(self._digest)
        return code == 0

    def _done(self) -> bool:
        try:
            return self._mark.read_text() == self._digest
        except FileNotFoundError:
            return False


def _new_ledger(settings: Settings) -> bool:
    kind, _, path = settings.ledger_url.partition(":///")
    return kind == "sqlite" and not Path(path).exists()


def main(arguments: list[str]) -> int:
    """`python -m gateway appoint PEOPLE PARENT`, started by `citygate run` only."""
    die_with(int(arguments[1]))
    people = orjson.loads(Path(arguments[0]).read_bytes())
    asyncio.run(_appoint([(one["sub"], one["role"]) for one in people]))
    return 0


async def _appoint(people: list[tuple[str, str]]) -> None:
    from gateway.clock import SystemClock
    from gateway.sso.staff import ROLES, TESTER, Staff
    from gateway.store.ledger import open_ledger
    from gateway.store.sealing import FileKek, open_keys

    settings, clock = Settings(), SystemClock()
    async with open_ledger(settings.ledger_url, clock=clock) as ledger:
        keys = await open_keys(ledger, FileKek.load(settings.kek_path))
        staff = Staff(ledger=ledger, keys=keys, clock=clock)
        for sub, role in people:
            if role in ROLES and role != TESTER:
                await staff.grant(
                    _UPSTREAM,
                    sub,
                    role,
                    author="citygate run",
                    reason="staff of the simulated city",
                )
