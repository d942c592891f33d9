"""`citygate audit verify`: whether the trail is whole."""

import sys

import typer

app = typer.Typer(help="The audit trail.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """The audit trail."""


@app.command()
def verify() -> None:
    """Check the hash chain of all audit events; names the first that does not fit."""
    from gateway.audit.trail import verify as walk
    from gateway.settings import Settings
    from gateway.store.away import LedgerAway
    from gateway.store.ledger import open_ledger_sync

    try:
        with open_ledger_sync(Settings().ledger_url) as ledger:
            broken = ledger.read(walk)
    except LedgerAway as error:
        print(f"citygate: the ledger cannot be read ({error})", file=sys.stderr)
        raise typer.Exit(2) from None
    if broken is not None:
        print(f"broken at event {broken.seq}: {broken.why}")
        raise typer.Exit(1)
    print("whole")
