"""Pages and files that are made from the code, so that they cannot grow stale.

`citygate generated` writes them, `--check` names the stale ones (what `make check` calls).
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

HANDBOOK = Path("gateway/handbook")
CONTRACT = Path("gateway/contract")


def mount(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command(hidden=True)(generated)


def generated(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Only name what is stale.")] = False,
) -> None:
    """Write the generated pages of the source tree (settings, endpoints, command line)."""
    stale = []
    for path, make in pages(context.find_root().command).items():
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


def pages(root: Any) -> dict[Path, Callable[[], str]]:
    """Each generated page and what makes it; `root` is the command line itself."""
    return {
        HANDBOOK / "settings.md": settings_page,
        HANDBOOK / "endpoints.md": endpoints_page,
        Path("gateway/registry/schema.json"): registry_schema,
        HANDBOOK / "audit-events.md": audit_page,
        HANDBOOK / "metrics.md": metrics_page,
        HANDBOOK / "commands.md": partial(commands_page, root),
        HANDBOOK / "rules.md": rules_page,
        **contract_files(),
    }


def contract_files() -> dict[Path, Callable[[], str]]:
    """The JSON Schemas and the OpenAPI document that the contract publishes."""
    from gateway.conformance import published

    files: dict[Path, Callable[[], str]] = {
        CONTRACT / "schemas" / f"{name}.schema.json": partial(published.schema, name)
        for name in published.names()
    }
    return {**files, CONTRACT / "standard.openapi.json": published.standard_openapi}


def rules_page() -> str:
    """The rules that a plugin is held to."""
    from gateway.conformance.rules import RULES

    lines = [
        "# 插件规则 · Rules for plugins",
        "",
        "Made from the table in `gateway/conformance/rules.py` by `citygate generated`.",
        "",
        "`citygate plugin check` holds a folder against each of them, offline. S stops a plugin from",
        "being published at any tier, E keeps it from its tier, W is shown and counted. A tier is",
        "computed and never declared; a rule of severity S has no exemption.",
        "",
        "| rule | severity | tier | a plugin … | 规则 |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {rule.id} | {rule.severity} | {rule.tier} | {rule.promise} | {rule.promise_zh} |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"


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


def registry_schema() -> str:
    """The JSON Schema of the registry, for editors."""
    from gateway.registry.schema import schema_text

    return schema_text()


def audit_page() -> str:
    """Every kind of audit event: its name, what it means, what it carries."""
    from dataclasses import fields

    from gateway.audit import events

    base = events.AuditEvent
    kinds = [k for k in vars(events).values() if isinstance(k, type) and issubclass(k, base)]
    kinds.remove(base)
    lines = [
        "# Audit events",
        "",
        "What is kept for good, each with the hash of the one before it; made from",
        "`gateway/audit/events.py` by `citygate generated`. No personal value stands in any of them.",
        "",
        "| event | meaning | carries |",
        "|---|---|---|",
    ]
    for kind in sorted(kinds, key=lambda kind: str(kind.name)):
        carried = ", ".join(f"`{field.name}`" for field in fields(kind))
        lines.append(f"| `{kind.name}` | {_first_line(kind.__doc__)} | {carried} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric of `/metrics`."""
    from prometheus_client.metrics import MetricWrapperBase

    from gateway.observe import metrics

    lines = [
        "# Metrics",
        "",
        "Answered at `/metrics` on the internal listener, for all workers; made from",
        "`gateway/observe/metrics.py` by `citygate generated`. Labels are of closed sets.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (told,) = metric.describe()
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - it has no other way
            lines.append(f"| `{told.name}` | {told.type} | {labels} | {told.documentation} |")
    return "\n".join(lines) + "\n"


def commands_page(root: Any) -> str:
    """Every command, with what it does."""
    lines = [
        "# Commands",
        "",
        "Made from the command line itself by `citygate generated`; `-h` shows the options.",
        "Data goes to stdout, talk to stderr; exit 0 clean, 1 findings or differences, 2 usage or failure.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]

    def walk(command: Any, path: str) -> None:
        for name, child in sorted(getattr(command, "commands", {}).items()):
            if getattr(child, "commands", None):
                walk(child, f"{path} {name}")
            elif not child.hidden:
                lines.append(f"| `{path} {name}` | {_first_line(child.help)} |")

    walk(root, "citygate")
    return "\n".join(lines) + "\n"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].strip()
