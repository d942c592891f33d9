"""`citygate run | serve | doctor | backup | restore`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.doctor import examine


def mount(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    app.command()(run)
    app.command()(serve)
    app.command()(doctor)


def run(
    port: Annotated[int, typer.Option(help="The port citizens use.", min=1, max=65_535)] = 8080,
    city_port: Annotated[
        int,
        typer.Option(
            help="First port of the simulated city.",
            envvar="CITYGATE_CITY_PORT",
            min=1,
            max=65_000,
        ),
    ] = 18_100,
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Let the system choose the city's ports.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Let tests steer the city; profile test only.")
    ] = False,
) -> None:
    """Serve on this machine, with the simulated city beside it (profile demo)."""
    environment = _environment()
    environment.setdefault("CITYGATE_PROFILE", "demo")
    environment.setdefault("CITYGATE_LISTEN", f"127.0.0.1:{port},[::1]:{port}")
    environment.setdefault("CITYGATE_PUBLIC_URL", f"http://localhost:{port}")
    environment.setdefault("CITYGATE_INTERNAL_LISTEN", f"127.0.0.1:{port + 1}")
    _start(environment, city=True, city_port=city_port, free_ports=free_ports, control=control)


def serve(
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; default CITYGATE_WORKERS.", min=1, max=64)
    ] = None,
) -> None:
    """Serve (profile production unless CITYGATE_PROFILE says otherwise)."""
    environment = _environment()
    if workers is not None:
        environment["CITYGATE_WORKERS"] = str(workers)
    _start(environment, city=False)


def _environment() -> dict[str, str]:
    return dict(os.environ)  # noqa: TID251 - handed on to the processes that read the settings


def _start(
    environment: dict[str, str],
    *,
    city: bool,
    city_port: int = 0,
    free_ports: bool = False,
    control: bool = False,
) -> None:
    from gateway.running.start import Start
    from gateway.running.start import run as supervise

    os.environ.update(environment)  # noqa: TID251 - the settings are read from here
    start = Start(
        city=city, free_city_ports=free_ports, city_control=control, first_city_port=city_port
    )
    raise typer.Exit(supervise(start, environment))


def doctor(
    state: Annotated[Path | None, typer.Option(help="State folder to look at.")] = None,
) -> None:
    """Say what this machine and its settings lack."""
    if state is not None:
        os.environ["CITYGATE_STATE_DIR"] = str(state)  # noqa: TID251 - as above
    findings = examine()
    for finding in findings:
        print(f"{finding.mark}  {finding.text}")
    if any(finding.bad for finding in findings):
        raise typer.Exit(1)
