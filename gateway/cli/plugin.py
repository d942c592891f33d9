"""`citygate plugin new | check | preview`: for whoever connects a department's back end.

Works with the base packages alone, on every system: no server, no ledger, no Valkey. Exit 0 clean,
1 findings, 2 usage or tool failure.
"""

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from pydantic import ValidationError

from gateway.conformance.finding import Finding
from gateway.contract.ids import PLUGIN_ID_PATTERN

app = typer.Typer(help="For whoever connects a back end.", no_args_is_help=True)

SKELETON: Final = Path(__file__).parent / "skeleton"
_FILL: Final = "← 改"


def talk(text: str) -> None:
    """Say something to the person, not to the pipe."""
    print(text, file=sys.stderr)


@app.command()
def new(
    plugin: Annotated[
        str, typer.Argument(metavar="ID", help="The plugin's id, its folder's name.")
    ],
    plugins: Annotated[Path, typer.Option(help="The folder of plugin folders.")] = Path("plugins"),
) -> None:
    """Write a commented plugin folder: a recipe that passes its check, with lines to fill in."""
    if not re.match(PLUGIN_ID_PATTERN, plugin):
        talk(
            f"citygate: {plugin!r} is no plugin id; small letters, digits, hyphens, 2 to 31 of them"
        )
        raise typer.Exit(2)
    folder = plugins / plugin
    try:
        if folder.exists() and any(folder.iterdir()):
            talk(f"citygate: {folder} is there already and not empty")
            raise typer.Exit(2)
        lines = write_skeleton(folder, plugin)
    except OSError as error:
        talk(f"citygate: cannot write {folder} ({error.strerror})")
        raise typer.Exit(2) from None
    print(folder.as_posix())
    talk(f'{lines} lines are marked "{_FILL} · fill in"; then:')
    talk(f"  citygate plugin check {folder.as_posix()}")
    talk(f"  citygate plugin preview {folder.as_posix()}")


def write_skeleton(folder: Path, plugin: str) -> int:
    """Write the skeleton; how many lines are to be filled in."""
    lines = 0
    for source in sorted(SKELETON.rglob("*")):
        if not source.is_file():
            continue
        text = source.read_text("utf-8").replace("@ID@", plugin)
        text = text.replace("@FOLDER@", folder.as_posix())
        target = folder / source.relative_to(SKELETON)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", newline="\n")
        lines += text.count(_FILL)
    return lines - 1  # the head of plugin.yaml explains the mark


@app.command()
def check(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER…", help="Plugin folders.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Hold plugin folders against the rules: every finding with file, line, column and cure."""
    from gateway.conformance.kit import Report, judged

    softened, variables = _surroundings()
    reports: list[tuple[Path, Report]] = []
    for folder in folders:
        if not folder.is_dir():
            talk(f"citygate: there is no folder {folder}")
            raise typer.Exit(2)
        reports.append((folder, judged(folder, variables=variables, softened=softened)))
    if as_json:
        rows = [_row(folder, report) for folder, report in reports]
        _data({"passed": all(report.passed for _, report in reports), "plugins": rows})
    else:
        for folder, report in reports:
            _tell(folder, report)
    raise typer.Exit(0 if all(report.passed for _, report in reports) else 1)


@app.command()
def rules(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List the rules that `check` holds a plugin against."""
    from gateway.conformance.rules import RULES

    if as_json:
        _data([{"rule": r.id, "severity": r.severity, "tier": r.tier, "zh": r.promise_zh, "en": r.promise}
               for r in RULES])  # fmt: skip
        return
    for rule in RULES:
        print(f"{rule.id} {rule.severity} {rule.tier:<6} {rule.promise}")


@app.command()
def preview(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A plugin folder.")],
    port: Annotated[
        int, typer.Option(help="Of 127.0.0.1; 0: any that is free.", min=0, max=65535)
    ] = 8090,
) -> None:
    """Show the folder's cards in every state and mode; saving a file shows it again."""
    if not folder.is_dir():
        talk(f"citygate: there is no folder {folder}")
        raise typer.Exit(2)
    from gateway.cli.preview import serve

    _, variables = _surroundings()
    try:
        serve(folder, port, variables)
    except OSError as error:
        talk(f"citygate: cannot listen on 127.0.0.1:{port} ({error.strerror}); use --port")
        raise typer.Exit(2) from None


def _surroundings() -> tuple[bool, dict[str, str]]:
    """Whether loopback hosts are a warning here (profiles demo and test), and the variables."""
    from gateway.settings import Settings, variables

    try:
        profile = Settings().profile
    except ValidationError as error:
        problem = error.errors()[0]
        name = "__".join(str(part) for part in problem["loc"]).upper()
        talk(f"citygate: CITYGATE_{name}: {problem['msg']}")
        raise typer.Exit(2) from None
    return profile in ("demo", "test"), variables()


def _data(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def _named(folder: Path, finding: Finding) -> Finding:
    """A finding that names its file as a person here can open it."""
    return finding.in_file((folder / finding.file).as_posix())


def _severity(finding: Finding) -> str:
    """`S`, `E` or `W` as the rule and the finding say."""
    from gateway.conformance.rules import RULES

    if finding.severity == "warning":
        return "W"
    return next((rule.severity for rule in RULES if rule.id == finding.code), "S")


def _row(folder: Path, report: Any) -> dict[str, Any]:
    findings = []
    for one in report.findings:
        named = _named(folder, one)
        row = {name: getattr(named, name) for name in Finding.__dataclass_fields__}
        findings.append({**row, "rule": row.pop("code"), "severity": _severity(one)})
    warnings = sum(f.severity == "warning" for f in report.findings)
    return {
        "folder": folder.as_posix(),
        "id": report.folder.manifest.id if report.folder.manifest else None,
        "target": report.folder.aim.target if report.folder.aim else None,
        "tier": report.tier,
        "samples": len(report.folder.samples),
        "errors": len(report.findings) - warnings,
        "warnings": warnings,
        "findings": findings,
    }


def _tell(folder: Path, report: Any) -> None:
    """Findings on stdout, the sum on stderr."""
    from gateway.conformance.rules import RULES

    for finding in report.findings:
        print(_named(folder, finding).line_of_text(_severity(finding)))
    broken = [rule.id for rule in RULES if report.broken(rule)]
    samples = len(report.folder.samples)
    if broken:
        talk(f"{folder.as_posix()}: not ready; {len(broken)} of {len(RULES)} rules do not hold: "
             f"{', '.join(broken)}")  # fmt: skip
    else:
        warnings = len(report.findings)
        talk(f"{folder.as_posix()}: {report.tier}; all {len(RULES)} rules hold, "
             f"{samples} samples, {warnings} warning(s)")  # fmt: skip
