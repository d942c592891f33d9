"""What the registry commands do; without the extra `server` only `check` and `add` work."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
import typer
from pydantic import ValidationError

from gateway.clock import SystemClock, rfc3339
from gateway.conformance.finding import Finding
from gateway.errors import Conflict, Invalid, NotFound, StaleEdit
from gateway.registry.gather import PLUGINS, REGISTRY, gather
from gateway.registry.generation import Generation
from gateway.registry.prepare import Prepared, prepare
from gateway.settings import Settings, variables
from gateway.words.loader import Language

T = TypeVar("T")
Outcome = tuple[dict[str, Any] | None, list[Finding]]


@dataclass(frozen=True, slots=True)
class Place:
    """Which files, which environment, which installation."""

    registry: Path
    plugins: Path
    state: Path
    environment: str
    variables: Mapping[str, str]
    ledger_url: str


def talk(text: str) -> None:
    """Say something to the person, not to the pipe."""
    print(text, file=sys.stderr)


def author(said: str) -> str:
    """Who acts: as said, or the system's account."""
    if said.strip():
        return said.strip()
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError, ImportError):
        return "cli"


def find(file: Path | None, plugins: Path | None, environment: str) -> Place:
    """Settings, options, and what the installation in the state folder says of itself.

    The environment is what the option says, else CITYGATE_ENVIRONMENT or CITYGATE_PROFILE, else
    that of the installation that uses this state folder, else demo.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "__".join(str(part) for part in problem["loc"]).upper()
            talk(f"citygate: CITYGATE_{name}: {problem['msg']}")
        raise typer.Exit(2) from None
    noted = _noted(settings.state_dir)
    said = {"environment", "profile"} & settings.model_fields_set
    chosen = environment or (settings.registry_environment if said else noted.get("environment"))
    chosen = chosen or "demo"
    if chosen not in ("demo", "staging", "production"):
        talk(f"citygate: no environment {chosen!r}; choose demo, staging or production")
        raise typer.Exit(2)
    known = noted.get("variables", {}) if noted.get("environment") == chosen else {}
    registry = file or settings.registry
    return Place(
        registry=registry / REGISTRY if registry.is_dir() else registry,
        plugins=plugins or _beside(file, settings.plugins),
        state=settings.state_dir,
        environment=chosen,
        variables={**known, **variables()},
        ledger_url=settings.ledger_url,
    )


def _beside(file: Path | None, usual: Path) -> Path:
    """The plugins folder beside a registry file named by hand, where there is one."""
    if file is not None and usual == Path("plugins"):
        folder = (file if file.is_dir() else file.parent) / "plugins"
        if folder.is_dir():
            return folder
    return usual


def _noted(state: Path) -> dict[str, Any]:
    with suppress(OSError, orjson.JSONDecodeError):
        noted = orjson.loads((state / "generations" / "now.json").read_bytes())
        if isinstance(noted, dict):
            return noted
    return {}


@contextmanager
def reporting() -> Iterator[None]:
    """Say in one sentence what kept a command from working, and end with 2."""
    from gateway.registry.edit import CannotEdit
    from gateway.registry.workshop import CannotPrepare
    from gateway.store.away import LedgerAway

    try:
        yield
    except LedgerAway as error:
        said = f"the ledger cannot be used ({error})"
    except StaleEdit as error:
        said = (
            f"somebody else published revision {error.members.get('current')} meanwhile; look again"
        )
    except (NotFound, Conflict) as error:
        said = error.detail
    except Invalid as error:
        fields = error.members["fields"]
        said = "; ".join(f"{f['field']}: {f['message']}" for f in fields)  # type: ignore[attr-defined]  # a list of mappings
    except (CannotPrepare, CannotEdit, LookupError, OSError) as error:
        said = str(error)
    else:
        return
    talk(f"citygate: {said}")
    raise typer.Exit(2)


def prepared(place: Place) -> tuple[Prepared, list[Finding]]:
    """Everything that is wrong with the files."""
    files, found = gather(place.registry, place.plugins)
    done = prepare(
        files,
        environment=place.environment,
        variables=place.variables,
        revision=1,
        now=SystemClock().now(),
    )
    return done, sorted({*found, *done.findings})


def summary(place: Place, done: Prepared, found: list[Finding]) -> str:
    """The last line of `check`, for people."""
    wrong = sum(finding.severity == "error" for finding in found)
    warnings = len(found) - wrong
    where = f"environment {place.environment}"
    if wrong:
        return f"{wrong} error(s), {warnings} warning(s) ({where}); nothing would be published"
    services = len(Generation.load(done.artefact).services) if done.artefact else 0
    return f"{services} services, {warnings} warning(s) ({where}); it can be published"


def shown_file(place: Place, path: str) -> str:
    """A revision's path as a person here can open it."""
    if path == REGISTRY:
        real = place.registry
    elif path.startswith(PLUGINS):
        real = place.plugins / path[len(PLUGINS) :]
    else:
        real = place.registry.parent / path
    return real.as_posix()


def as_line(place: Place, finding: Finding) -> str:
    """`file:line:col code field: message; cure`."""
    where = f"{shown_file(place, finding.file)}:{finding.line}:{finding.column}"
    code = finding.code if finding.severity == "error" else f"{finding.code} (warning)"
    field = f" {finding.field}" if finding.field else ""
    cure = f"; {finding.cure}" if finding.cure else ""
    return f"{where} {code}{field}: {finding.message}{cure}"


def as_row(place: Place, finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    row = {name: getattr(finding, name) for name in Finding.__dataclass_fields__}
    return {**row, "file": shown_file(place, finding.file)}


def _with_ledger(place: Place, act: Callable[[Any], Awaitable[T]]) -> T:
    from gateway.store.ledger import open_ledger

    place.state.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def run() -> T:
        async with open_ledger(place.ledger_url, clock=SystemClock()) as ledger:
            return await act(ledger)

    return asyncio.run(run())


def _with_publisher(place: Place, act: Callable[[Any], Awaitable[Any]]) -> Outcome:
    """Run an act of a publisher; ([what was published] or None, findings)."""
    from gateway.registry.publish import Published, Publisher
    from gateway.registry.workshop import Workshop

    async def quiet(_revision: int) -> None:
        """Workers see it within a second, by looking."""

    async def run(ledger: Any) -> Any:
        clock = SystemClock()
        workshop = Workshop(place.state, place.environment, place.variables, clock)
        return await act(Publisher(ledger, clock, workshop, quiet))

    done = _with_ledger(place, run)
    if isinstance(done, Published):
        facts = {"revision": done.revision, "base": done.base, "changed": done.changed}
        return facts, done.findings
    return None, list(done)


def publish(place: Place, *, author: str, reason: str) -> Outcome:
    """Publish the files; refused while gathering or preparing finds an error."""
    from gateway.registry.revisions import latest_id
    from gateway.registry.working_copy import WorkingCopy

    files, found = gather(place.registry, place.plugins)
    if any(finding.severity == "error" for finding in found):
        return None, prepared(place)[1]

    async def act(publisher: Any) -> Any:
        base = await publisher.ledger.read(latest_id)
        return await publisher.publish(files, base=base, author=author, reason=reason)

    done, more = _with_publisher(place, act)
    if done is not None:
        WorkingCopy(place.registry, place.plugins, place.state).in_step(done["revision"])
    return done, sorted({*found, *more})


def restore(place: Place, revision: int, *, author: str, reason: str) -> Outcome:
    """Publish an older revision again."""
    return _with_publisher(place, lambda p: p.restore(revision, author=author, reason=reason))


def suspend(
    place: Place, service: str, *, author: str, reason: str, sentence: Mapping[str, str] | None
) -> Outcome:
    """Switch a service off."""
    return _with_publisher(
        place, lambda p: p.suspend(service, author=author, reason=reason, sentence=sentence)
    )


def resume(place: Place, service: str, *, author: str, reason: str) -> Outcome:
    """Open a service again."""
    return _with_publisher(place, lambda p: p.resume(service, author=author, reason=reason))


def history(place: Place, most: int) -> list[dict[str, Any]]:
    """Revisions, newest first."""
    from gateway.registry.revisions import history as listed

    found = _with_ledger(place, lambda ledger: ledger.read(lambda c: listed(c, most)))
    return [_row(one) for one in found]


def _row(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "base": one.base,
        "at": rfc3339(one.at),
        "author": one.author,
        "reason": one.reason,
    }


def show(place: Place, revision: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A revision and its files."""
    from gateway.registry.revisions import files_of as contents
    from gateway.registry.revisions import show as one

    def read(connection: Any) -> tuple[Any, dict[str, bytes]]:
        return one(connection, revision), contents(connection, revision)

    found, files = _with_ledger(place, lambda ledger: ledger.read(read))
    return {**_row(found), "manifest": dict(found.manifest)}, files


def files_of(place: Place, revision: int) -> dict[str, bytes]:
    """The files of a revision."""
    return show(place, revision)[1]


def two(place: Place, first: str, second: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of "A..B"; without B those on this machine, without A the live revision's."""
    from gateway.registry.revisions import latest_id

    if not all(part == "" or part.isdigit() for part in (first, second)):
        raise LookupError("write two revisions as 3..5, or one as 3")
    if first:
        before = files_of(place, int(first))
    else:
        live = _with_ledger(place, lambda ledger: ledger.read(latest_id))
        before = files_of(place, live) if live else {}
    after = files_of(place, int(second)) if second else gather(place.registry, place.plugins)[0]
    return before, after


def difference(
    place: Place, before: Mapping[str, bytes], after: Mapping[str, bytes], language: Language
) -> list[str]:
    """What changed, in sentences."""
    from gateway.registry.difference import sentences

    made: list[Generation | None] = []
    for files in (before, after):
        done = prepare(
            files,
            environment=place.environment,
            variables=place.variables,
            revision=1,
            before=made[0] if made else None,
            tolerant=True,
        )
        made.append(Generation.load(done.artefact) if done.artefact else None)
    if made[1] is None:
        raise LookupError("the later one cannot be read; `citygate check` says why")
    return sentences(made[0], made[1], language)


def add(place: Place, wanted: str, *, topic: str, service: str) -> str:
    """Write an entry; returns the sentence that says where."""
    from gateway.registry.adding import add_service

    path, line, said = add_service(
        place.registry, place.plugins, wanted, topic=topic, service=service
    )
    return f"{os.path.relpath(path)}:{line} {said}"
