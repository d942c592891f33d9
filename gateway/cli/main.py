"""`citygate …`: data on stdout, talk on stderr; exit 0 clean, 1 findings, 2 usage or tool failure.

Command modules import what only the server needs inside their commands: everything under
`citygate plugin` and `citygate check` runs without the extra `server`, on Windows too.
"""

import io
import sys

import typer

from gateway.cli import audit, backup, generated, plugin, registry, running, staff

app = typer.Typer(
    name="citygate",
    help="城市服务聚合网关 Citygate: every government service of a city behind one sign-in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(plugin.app, name="plugin")
app.add_typer(staff.app, name="staff")
app.add_typer(audit.app, name="audit")
registry.mount(app)
running.mount(app)
backup.mount(app)
generated.mount(app)


def main() -> int:
    """Run the command line; a missing `server` extra is said in one sentence."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a console without Chinese letters is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "gateway":
            raise
        print(
            f"citygate: this command needs the server's packages ({error.name} is missing); "
            "install citygate[server]",
            file=sys.stderr,
        )
        return 2
    return 0


@app.command()
def version() -> None:
    """Print the version of this installation and the contract it speaks."""
    from importlib.metadata import version as installed

    from gateway.contract.version import CONTRACT_VERSION

    print(f"citygate {installed('citygate')} (plugin contract {CONTRACT_VERSION})")
