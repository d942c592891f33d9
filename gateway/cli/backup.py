"""`citygate backup DIR|FILE` and `citygate restore FILE`: with the server running or not."""

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gateway.cli.registry_tools import author as account

_PG_DUMP = (
    "the ledger is PostgreSQL: back it up with `pg_dump -Fc` and put it back with `pg_restore` "
    "(see the handbook, running.md)"
)


def mount(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    app.command()(backup)
    app.command()(restore)


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="Where to put it.")],
    author: Annotated[str, typer.Option(help="Who; by default the system's account.")] = "",
) -> None:
    """Copy the ledger (people, consents, registry revisions, trail) into one file."""
    from gateway.audit import trail
    from gateway.audit.events import BackupMade
    from gateway.clock import SystemClock
    from gateway.running.backup import CannotBackUp, copy_key, make
    from gateway.store.ledger import LedgerAway, open_ledger_sync

    settings, file = _ledger_file()
    clock = SystemClock()
    try:
        if file is None:
            beside = target / "citygate" if target.is_dir() else target
            key = copy_key(settings.kek_path, beside)
            _end(f"{_PG_DUMP}; the key file was copied to {key}", 1)
        made = make(file, settings.kek_path, target, clock)
        event = BackupMade(digest=made.digest, rows=made.rows, author=account(author))
        with open_ledger_sync(settings.ledger_url, clock=clock) as ledger:
            ledger.write(lambda c: trail.append(c, event, at=clock.now()))
    except (CannotBackUp, LedgerAway, OSError) as error:
        _end(str(error), 2)
    print(made.archive)
    _talk(f"{made.rows} rows, sha256 {made.digest}")
    if made.key is not None:
        _talk(f"the key is a file of its own: {made.key}; keep it apart from the backup")


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; compulsory.")] = "",
    author: Annotated[str, typer.Option(help="Who; by default the system's account.")] = "",
) -> None:
    """Put a backup in place of the ledger; everybody has to sign in again."""
    from gateway.clock import SystemClock
    from gateway.running.backup import CannotBackUp
    from gateway.running.backup import restore as put_back

    if not reason.strip():
        _end('a reason is required: --reason "…"', 2)
    settings, file = _ledger_file()
    if file is None:
        _end(_PG_DUMP, 2)
    try:
        done = put_back(
            archive,
            file,
            settings.kek_path,
            author=account(author),
            reason=reason.strip(),
            clock=SystemClock(),
        )
    except (CannotBackUp, OSError) as error:
        _end(str(error), 2)
    _talk(f"{done.rows} rows are back; every session before now is void")
    if done.kept is not None:
        _talk(f"what was there before is in {done.kept}")


def _ledger_file() -> tuple[Any, Path | None]:
    """The settings, and the embedded ledger's file; None where it is PostgreSQL."""
    from pydantic import ValidationError

    from gateway.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        _end("; ".join(problem["msg"] for problem in error.errors()), 2)
    if not settings.ledger_url.startswith("sqlite:///"):
        return settings, None
    return settings, Path(settings.ledger_url.removeprefix("sqlite:///"))


def _talk(text: str) -> None:
    print(f"citygate: {text}", file=sys.stderr)


def _end(text: str, code: int) -> NoReturn:
    _talk(text)
    raise typer.Exit(code)
