"""`citygate run` and `citygate serve`: from settings to a serving gateway, or one plain sentence."""

import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import ValidationError

from gateway.running import valkey
from gateway.running.appoint import Appointing
from gateway.running.city import City, settings_for
from gateway.running.listeners import open_listeners
from gateway.running.lock import AlreadyRuns, CannotStart, hold, prepare_folder
from gateway.running.supervisor import Helper, Supervisor
from gateway.settings import Settings, unsafe_in_production
from gateway.store.kek import BadKek, FileKek


@dataclass(frozen=True, slots=True)
class Start:
    """What to start."""

    city: bool  # the simulated city beside it
    free_city_ports: bool = False
    city_control: bool = False
    first_city_port: int = 18100


def run(start: Start, environment: Mapping[str, str]) -> int:
    """Serve until told to end; returns the exit code (0 clean, 2 could not start)."""
    try:
        settings = Settings()
        refuse_unsafe(settings)
        return _supervise(start, settings, dict(environment))
    except ValidationError as error:
        for problem in error.errors():
            name = "CITYGATE_" + "__".join(str(part) for part in problem["loc"]).upper()
            _say(f"{name if problem['loc'] else 'settings'}: {problem['msg']}")
    except (AlreadyRuns, CannotStart, BadKek) as error:
        _say(str(error))
    return 2


def refuse_unsafe(settings: Settings) -> None:
    """Profile production refuses by name what is unsafe.

    Raises:
        CannotStart: with all of it.
    """
    if found := unsafe_in_production(settings):
        raise CannotStart("profile production refuses:\n  " + "\n  ".join(found))


def _supervise(start: Start, settings: Settings, environment: dict[str, str]) -> int:
    began = time.monotonic()
    folder = settings.state_dir
    prepare_folder(folder)
    lock = hold(folder, settings.origin)
    listeners = open_listeners(settings)
    _say(f"state folder {folder}")
    ensure_kek(settings)
    run_folder = folder / "run"
    environment["CITYGATE_STATE_DIR"] = str(folder.resolve())
    environment["PROMETHEUS_MULTIPROC_DIR"] = _fresh_metrics(run_folder)
    helpers: list[Helper] = []
    supervisor: Supervisor | None = None
    try:
        city = _start_city(start, settings, folder)
        if settings.embedded_volatile:
            helper, url = _start_valkey(settings, folder)
            helpers.append(helper)
            environment["CITYGATE_VOLATILE"] = url
            _say("Valkey runs")
        addresses: dict[str, str] = {}
        if city is not None:
            helpers.append(Helper("the simulated city", city.start, city.alive, city.stop))
            addresses = city.wait()
            environment.update(settings_for(city.folder, addresses))
            _say(f"the simulated city runs ({len(addresses)} systems)")
        supervisor = Supervisor(
            listeners=listeners,
            count=settings.workers,
            environment=environment,
            helpers=helpers,
            drain_seconds=settings.drain_s,
            run_folder=run_folder,
            say=_say,
        )
        supervisor.install_signals()
        appointing = Appointing(settings, environment) if _gives_roles(city, settings) else None
        supervisor.start_workers()
        _say(f"starting {settings.workers} worker(s)")
        if not supervisor.wait_until_serving(60):
            if supervisor.asked_to_end:
                return 0
            raise CannotStart("no worker could start; the lines above say why")
        if appointing is not None and not appointing.finish():
            _say("the city's staff has no roles yet; the next start tries again")
        _tell(settings, addresses, time.monotonic() - began)
        supervisor.watch()
        return 0
    finally:
        if supervisor is not None:
            supervisor.end()
        else:
            for helper in reversed(helpers):
                helper.stop()
        os.close(lock)


def _gives_roles(city: City | None, settings: Settings) -> bool:
    return city is not None and settings.profile != "production"


def ensure_kek(settings: Settings) -> None:
    """Check the key-encryption key; make one only in profiles demo and test, before it was needed.

    Raises:
        BadKek: missing, wrong or readable by others.
    """
    path = settings.kek_path
    may_be_made = settings.profile != "production" and not path.exists()
    if may_be_made and not _sealed(settings.state_dir / "ledger.db"):
        FileKek.create(path)
    FileKek.load(path)


def _sealed(ledger: Path) -> bool:
    """Whether a ledger holds anything that a lost key would have to open.

    `citygate registry publish` makes a ledger before the first start: revisions need no key.
    """
    if not ledger.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            return opened.execute("SELECT 1 FROM secret LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True  # damaged, or of another program: no key is made beside it


def _fresh_metrics(run_folder: Path) -> str:
    folder = run_folder / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    return str(folder.resolve())


def _start_city(start: Start, settings: Settings, folder: Path) -> City | None:
    if not start.city:
        return None
    city = City(
        folder / "city",
        settings.origin,
        free_ports=start.free_city_ports,
        control=start.city_control,
        first_port=start.first_city_port,
    )
    city.start()
    return city


def _start_valkey(settings: Settings, folder: Path) -> tuple[Helper, str]:
    running = [valkey.start(folder, memory_mb=settings.valkey_memory_mb)]

    def again() -> None:
        running[0] = valkey.start(folder, memory_mb=settings.valkey_memory_mb)

    def alive() -> bool:
        return running[0].alive()

    def stop() -> None:
        running[0].stop()

    return Helper("Valkey", start=again, alive=alive, stop=stop), running[0].url


def _tell(settings: Settings, addresses: dict[str, str], seconds: float) -> None:
    """That it serves, and where: for people, and in a file for programs."""
    path = settings.state_dir / "run" / "addresses.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(orjson.dumps({"gateway": settings.origin, **addresses}))
    fresh.replace(path)
    _say(f"serving after {seconds:.1f} s")
    print(table(settings, addresses, settings.state_dir), flush=True)


def table(settings: Settings, addresses: dict[str, str], folder: Path) -> str:
    """The last thing printed: addresses, test people, what to try."""
    rows = [("城市服务 the hall", f"{settings.origin}/")]
    if "app" in addresses:
        rows.append(("新闻客户端 news app", f"{addresses['app']}/"))
    rows.append(("管理台 consoles", f"{(settings.admin_url or settings.origin)}/admin/"))
    if "panel" in addresses:
        rows.append(("故障面板 fault panel", f"{addresses['panel']}/"))
    people = folder / "city" / "people.json"
    if people.exists():
        rows += [(f"  {one['name']}", one["note"]) for one in orjson.loads(people.read_bytes())]
        rows.append(("试一试 try", "open the news app, tap 服务, sign in as 李伟, tap 公积金"))
        rows.append(("", "sign in as 唐发布 and open /admin/"))
        rows.append(("", "break service_registry.yaml and look: nothing happens; `citygate check`"))
    width = max(_width(label) for label, _ in rows)
    lines = [f"  {label}{' ' * (width - _width(label))}  {text}" for label, text in rows]
    rule = "─" * 72
    return "\n".join([rule, *lines, rule, "  Ctrl-C ends everything."])


def _width(text: str) -> int:
    return sum(2 if ord(char) > 0x2E80 else 1 for char in text)  # noqa: PLR2004 - CJK is two wide


def _say(text: str) -> None:
    print(f"citygate: {text}", file=sys.stderr, flush=True)
