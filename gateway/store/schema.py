"""Bringing a ledger's tables to this program's version (Alembic).

Migrations only expand; what a release no longer uses is dropped by the one after it, so that the
release before this one goes on working beside it (F47). Each is one transaction on both engines.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from gateway.store.away import LedgerAway

HEAD: Final = "0001"  # a test compares it with migrations/versions


def version_of(connection: Connection) -> str | None:
    """The version that the tables have; None: there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return version


def is_current(connection: Connection) -> bool:
    """Whether nothing is to be done: this version, or the one after it (expanded only).

    Raises:
        LedgerAway: the tables belong to a program more than one version newer.
    """
    version = version_of(connection)
    if version is None or int(version) < int(HEAD):
        return False
    if int(version) > int(HEAD) + 1:
        raise LedgerAway(
            f"The ledger has version {version}, this program knows {HEAD}. Run the newer program."
        )
    return True


def migrate(connection: Connection) -> None:
    """Bring the tables to HEAD inside the caller's transaction; half of it never stays."""
    if is_current(connection):
        return
    # Imported for a new or an older ledger only: every start would pay for it otherwise.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
