"""Pages and files that are made from the code, so that they cannot grow stale.

`citygate generated` writes them, `--check` names the stale ones (what `make check` calls).
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

HANDBOOK = Path("gateway/handbook")


def mount(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command(hidden=True)(generated)


def generated(
    check: Annotated[bool, typer.Option("--check", help="Only name what is stale.")] = False,
) -> None:
    """Write the generated pages of the source tree (settings, endpoints, command line)."""
    stale = []
    for path, make in pages().items():
        text = make()
        if path.exists() and path.read_text("utf-8") == text:
            continue
        if check:
            stale.append(str(path))
        else:
            path.write_text(text, "utf-8")
            print(path)
    if stale:
        print(f"stale: {', '.join(stale)}; run `citygate generated`", file=sys.stderr)
        raise typer.Exit(1)


def pages() -> dict[Path, Callable[[], str]]:
    """Each generated page and what makes it."""
    return {
        HANDBOOK / "settings.md": settings_page,
        HANDBOOK / "endpoints.md": endpoints_page,
    }


def settings_page() -> str:
    """The settings reference."""
    from gateway.settings import Settings

    lines = [
        "# Settings",
        "",
        "Environment variables; made from `gateway/settings.py` by `citygate generated`.",
        "`CITYGATE_VAR_NAME` fills `${NAME}` in registry and manifests.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = (
            "" if default in (None, "") or "Secret" in type(default).__name__ else f"`{default}`"
        )
        lines.append(f"| `CITYGATE_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def endpoints_page() -> str:
    """The endpoint table as a page."""
    from gateway.routes import ENDPOINTS

    lines = [
        "# Endpoints",
        "",
        "Made from the table in `gateway/routes.py` by `citygate generated`.",
        "",
        "| zone | method | path | who may enter | handler |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.zone} | {row.method} | `{row.path}` | {row.guard_name} | `{row.handler_name}` |"
        for row in ENDPOINTS
    ]
    return "\n".join(lines) + "\n"
