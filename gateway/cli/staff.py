"""`citygate staff …`: who may do what in the consoles, straight on the ledger.

Works with the server down, and with it running: roles are read at each door.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import orjson
import typer

from gateway.settings import Settings

app = typer.Typer(help="Staff: roles in the consoles, groups of testers.", no_args_is_help=True)

T = TypeVar("T")
Upstream = Annotated[str, typer.Option(help="The identity provider's id in the settings.")]
Sub = Annotated[str, typer.Option(help="The provider's `sub` for this person.")]
RoleName = Annotated[str, typer.Option(help="viewer, editor, publisher, auditor or tester.")]
Scope = Annotated[str, typer.Option(help="For testers: the group.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; compulsory.")]
Author = Annotated[str, typer.Option(help="Who; by default the system's account.")]


@app.command()
def add(
    upstream: Upstream,
    sub: Sub,
    role: RoleName,
    reason: Reason,
    scope: Scope = "",
    author: Author = "",
) -> None:
    """Give a person a role; she need not have signed in before."""
    from gateway.cli.registry_tools import author as who
    from gateway.sso.staff import Staff

    async def act(staff: Staff) -> bool:
        return await staff.grant(
            upstream, sub, role, scope=scope, author=who(author), reason=reason
        )

    done = _with_staff(act)
    print("granted" if done else "had it already")


@app.command()
def remove(
    upstream: Upstream,
    sub: Sub,
    role: RoleName,
    reason: Reason,
    scope: Scope = "",
    author: Author = "",
) -> None:
    """Take a role away; it holds at her next request."""
    from gateway.cli.registry_tools import author as who
    from gateway.sso.staff import Staff

    async def act(staff: Staff) -> bool:
        return await staff.remove(
            upstream, sub, role, scope=scope, author=who(author), reason=reason
        )

    done = _with_staff(act)
    print("removed" if done else "did not have it")
    raise typer.Exit(0 if done else 1)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """Everybody's roles. Persons are shown by the random id that the trail knows them by."""
    from gateway.clock import rfc3339
    from gateway.sso.staff import Staff, StaffRow

    async def act(staff: Staff) -> list[StaffRow]:
        return await staff.list()

    rows = [
        {
            "citizen": row.citizen,
            "upstream": row.upstream,
            "role": row.role,
            "scope": row.scope,
            "since": rfc3339(row.at),
            "granted_by": row.granted_by,
            "reason": row.reason,
        }
        for row in _with_staff(act)
    ]
    if as_json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    for row in rows:
        print("  ".join(value for value in row.values() if value))


def _with_staff(act: Callable[..., Awaitable[T]]) -> T:
    """Do something with the staff of this installation; what is in the way is said in a sentence."""
    from pydantic import ValidationError

    from gateway.errors import Invalid
    from gateway.store.away import LedgerAway
    from gateway.store.sealing import BadKek

    try:
        return asyncio.run(_run(Settings(), act))
    except ValidationError as error:
        names = (f"CITYGATE_{'__'.join(map(str, one['loc'])).upper()}" for one in error.errors())
        said = "; ".join(
            f"{name}: {one['msg']}" for name, one in zip(names, error.errors(), strict=True)
        )
    except Invalid as error:
        fields = error.members["fields"]
        said = "; ".join(f"--{f['field']}: {f['message']}" for f in fields)  # type: ignore[attr-defined]  # a list of mappings
    except LedgerAway as error:
        said = f"the ledger cannot be used ({error})"
    except BadKek as error:
        said = str(error)
    print(f"citygate: {said}", file=sys.stderr)
    raise typer.Exit(2)


async def _run(settings: Settings, act: Callable[..., Awaitable[T]]) -> T:
    from gateway.clock import SystemClock
    from gateway.running.start import ensure_kek
    from gateway.sso.staff import Staff
    from gateway.store.ledger import open_ledger
    from gateway.store.sealing import FileKek, open_keys

    ensure_kek(settings)
    clock = SystemClock()
    async with open_ledger(settings.ledger_url, clock=clock) as ledger:
        keys = await open_keys(ledger, FileKek.load(settings.kek_path))
        return await act(Staff(ledger=ledger, keys=keys, clock=clock))
